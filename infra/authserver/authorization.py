"""The authorization endpoint: a request is checked once, here, and kept (RFC 6749 §4.1, OAuth 2.1 §4.1)."""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from authcore.errors import InvalidRequest, OAuthError
from authcore.forms import Form, parse_form
from authserver import counters, endpoints
from authserver.authorization_checks import MAX_QUERY_LENGTH, checked, redirect_target, state_of
from authserver.authorization_requests import AuthorizationRequest
from authserver.clients import Client
from authserver.pages import PageError, page_error, see_other
from authserver.pushed_requests import URI_PREFIX
from authserver.sessions import Session
from authserver.state import Server, server_of


class LoginRequired(OAuthError):
    """OIDC Core §3.1.2.6: `prompt=none`, and nobody is signed in."""

    error = "login_required"


class ConsentRequired(OAuthError):
    """OIDC Core §3.1.2.6: `prompt=none`, and the user has not agreed to this before."""

    error = "consent_required"


async def authorize(request: Request) -> Response:
    """Take in a request and send the browser on to login or consent.

    Raises:
        PageError: the client or its redirect URI cannot be trusted, so nothing is sent to it.
    """
    server = server_of(request)
    server.counters.count(counters.AUTHORIZATION)
    form, pushed = await _parameters(server, request)
    client, redirect_uri = await _who_and_where(server, form)
    try:
        if not pushed and (client.pushes or server.settings.require_pushed_authorization_requests):
            raise InvalidRequest("The authorization request must be pushed")
        pending = checked(server, form, client, redirect_uri)
    except OAuthError as error:
        return see_other(error_location(server.where.issuer, redirect_uri, state_of(form), error))
    session = await server.sessions.find(request) or await server.sessions.start()
    await server.requests.add(pending, session)
    response = see_other(next_page(server, pending, session))
    server.sessions.remember(response, session)
    return response


def next_page(server: Server, pending: AuthorizationRequest, session: Session) -> str:
    """Return where the user has to go now: to the consent page if it is known who they are, else to login.

    With `prompt=none` it is the consent page as well, which then answers without showing itself.
    """
    known = signed_in(server, pending, session) or "none" in pending.prompt
    name = endpoints.CONSENT if known else endpoints.LOGIN
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


async def _parameters(server: Server, request: Request) -> tuple[Form, bool]:
    """Return the parameters, and whether the client pushed them; then those in the URL count for nothing."""
    form = _query(request)
    try:
        request_uri = form.get("request_uri")
        if request_uri is None or not request_uri.startswith(URI_PREFIX):
            return form, False
        pushed = await server.pushed_requests.take(request_uri, form.require("client_id"), server.now())
    except OAuthError as error:
        raise page_error(error) from error
    if pushed is None:
        raise PageError("This request has expired", "Go back to your application and start again from there.")
    return pushed, True


async def _who_and_where(server: Server, form: Form) -> tuple[Client, str]:
    try:
        client = await server.clients.find(form.require("client_id"))
        redirect_uri = None if client is None else redirect_target(client, form)
    except OAuthError as error:
        raise page_error(error) from error
    if client is None:
        raise PageError("Unknown application", "The application that sent you here is not registered.")
    if redirect_uri is None:
        raise PageError(
            "Wrong redirect address",
            "The application asked to send you to an address it did not register. "
            "Somebody may be trying to pass for it.",
        )
    return client, redirect_uri
