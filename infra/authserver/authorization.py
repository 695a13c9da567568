"""The authorization endpoint: a request is checked once, here, and kept (RFC 6749 §4.1, OAuth 2.1 §4.1)."""

import re
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from authcore.claims import parse_scope
from authcore.errors import InvalidRequest, InvalidScope, OAuthError, UnauthorizedClient
from authcore.forms import Form, parse_form
from authcore.oauth2_types import GRANT_AUTHORIZATION_CODE
from authserver import counters, endpoints
from authserver.authorization_requests import AuthorizationRequest
from authserver.clients import Client
from authserver.pages import PageError, page_error, see_other
from authserver.resources import requested_audience
from authserver.secret_values import new_identifier
from authserver.sessions import Session
from authserver.state import Server, server_of

MAX_QUERY_LENGTH: Final = 8192
MAX_STATE_LENGTH: Final = 2048

_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class UnsupportedResponseType(OAuthError):
    """RFC 6749 §4.1.2.1."""

    error = "unsupported_response_type"


class RequestNotSupported(OAuthError):
    """OIDC Core §3.1.2.6: request objects are not supported; to ignore one would be to change the request."""

    error = "request_not_supported"


async def authorize(request: Request) -> Response:
    """Take in a request and send the browser on to login or consent.

    Raises:
        PageError: the client or its redirect URI cannot be trusted, so nothing is sent to it.
    """
    server = server_of(request)
    server.counters.count(counters.AUTHORIZATION)
    form = _query(request)
    client, redirect_uri = await _who_and_where(server, form)
    try:
        pending = _pending(server, form, client, redirect_uri)
    except OAuthError as error:
        return see_other(error_location(server.where.issuer, redirect_uri, _state(form), error))
    session = await server.sessions.find(request) or await server.sessions.start()
    await server.requests.add(pending, session)
    response = see_other(next_page(server, pending, session))
    server.sessions.remember(response, session)
    return response


def next_page(server: Server, pending: AuthorizationRequest, session: Session) -> str:
    """Return where the user has to go now: to the consent page if it is known who they are, else to login."""
    name = endpoints.CONSENT if signed_in(server, pending, session) else endpoints.LOGIN
    return f"{server.where.path(name)}?{urlencode({'request': pending.request_id})}"


def signed_in(server: Server, pending: AuthorizationRequest, session: Session) -> bool:
    """Tell whether the session's user is good for this request: approved, signed in since a `prompt`."""
    if session.email is None or server.users.find(session.email) is None:
        return False
    return "login" not in pending.prompt or (session.authenticated_at or 0) >= pending.created_at


def success_location(issuer: str, answered: AuthorizationRequest, code: str) -> str:
    """Return where to send the browser with a code (RFC 6749 §4.1.2, RFC 9207 §2)."""
    return _location(answered.redirect_uri, {"code": code, "state": answered.state, "iss": issuer})


def error_location(issuer: str, redirect_uri: str, state: str | None, error: OAuthError) -> str:
    """Return where to send the browser with an error (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
    return _location(
        redirect_uri,
        {
            "error": error.error,
            "error_description": error.description or None,
            "state": state,
            "iss": issuer,
        },
    )


def _location(redirect_uri: str, parameters: dict[str, str | None]) -> str:
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    existing = urlsplit(redirect_uri).query
    separator = "" if redirect_uri.endswith("?") else "&" if existing else "?"
    return f"{redirect_uri}{separator}{query}"


def _query(request: Request) -> Form:
    text = request.url.query
    if len(text) > MAX_QUERY_LENGTH:
        raise PageError("This request cannot be accepted", "The request is too long.", status=414)
    try:
        return parse_form(text)
    except InvalidRequest as error:
        raise page_error(error) from error


async def _who_and_where(server: Server, form: Form) -> tuple[Client, str]:
    try:
        client = await server.clients.find(form.require("client_id"))
        redirect_uri = form.get("redirect_uri")
    except OAuthError as error:
        raise page_error(error) from error
    if client is None:
        raise PageError("Unknown application", "The application that sent you here is not registered.")
    if redirect_uri is None and len(client.redirect_uris) == 1:
        redirect_uri = client.redirect_uris[0]
    if redirect_uri is None or not client.allows_redirect(redirect_uri):
        raise PageError(
            "Wrong redirect address",
            "The application asked to send you to an address it did not register. "
            "Somebody may be trying to pass for it.",
        )
    return client, redirect_uri


def _state(form: Form) -> str | None:
    try:
        state = form.get("state")
    except InvalidRequest:
        return None
    return state if state is not None and len(state) <= MAX_STATE_LENGTH else None


def _pending(server: Server, form: Form, client: Client, redirect_uri: str) -> AuthorizationRequest:
    if form.get("request") is not None or form.get("request_uri") is not None:
        raise RequestNotSupported("Request objects are not supported")
    if form.require("response_type") != "code":
        raise UnsupportedResponseType("The only response_type is code")
    if form.get("response_mode") not in (None, "query"):
        raise InvalidRequest("The only response_mode is query")
    if GRANT_AUTHORIZATION_CODE not in client.grant_types:
        raise UnauthorizedClient("The client may not use the authorization code grant")
    state = form.get("state")
    if state is not None and len(state) > MAX_STATE_LENGTH:
        raise InvalidRequest("The state is too long")
    return AuthorizationRequest(
        request_id=new_identifier(),
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        scope=_scope(server, form),
        audience=requested_audience(
            form.get_all("resource"), client.audiences, default=server.settings.mcp_resource
        ),
        code_challenge=_challenge(form),
        state=state,
        prompt=parse_scope(form.get("prompt")),
        created_at=server.now(),
    )


def _scope(server: Server, form: Form) -> frozenset[str]:
    scope = parse_scope(form.get("scope")) or server.policy.default_scope
    if not scope <= server.policy.scopes.keys():
        raise InvalidScope("The requested scope is unknown")
    return scope


def _challenge(form: Form) -> str:
    challenge = form.get("code_challenge")
    if challenge is None:
        raise InvalidRequest("PKCE is required: the parameter code_challenge is missing")
    # Absent means plain (RFC 7636 §4.3), so S256 must be said.
    if form.get("code_challenge_method") != "S256":
        raise InvalidRequest("PKCE is required with code_challenge_method S256")
    if not _S256_CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("The code_challenge is malformed")
    return challenge
