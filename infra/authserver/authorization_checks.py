"""What an authorization request must be, whether brought by a browser or pushed (OAuth 2.1 §4.1.1)."""

import re
from typing import Final

from authcore.claims import parse_scope
from authcore.errors import InvalidRequest, InvalidScope, OAuthError, UnauthorizedClient
from authcore.forms import Form
from authcore.oauth2_types import GRANT_AUTHORIZATION_CODE
from authserver.authorization_requests import AuthorizationRequest
from authserver.clients import Client
from authserver.resources import requested_audience
from authserver.secret_values import new_identifier
from authserver.state import Server

MAX_QUERY_LENGTH: Final = 8192
MAX_STATE_LENGTH: Final = 2048

_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")


class UnsupportedResponseType(OAuthError):
    """RFC 6749 §4.1.2.1."""

    error = "unsupported_response_type"


class RequestNotSupported(OAuthError):
    """OIDC Core §3.1.2.6: request objects are not supported; to ignore one would be to change the request."""

    error = "request_not_supported"


def redirect_target(client: Client, form: Form) -> str | None:
    """Return where the answer goes, or `None` if the client did not register that.

    Raises:
        InvalidRequest: the parameter is repeated.
    """
    redirect_uri = form.get("redirect_uri")
    if redirect_uri is None and len(client.redirect_uris) == 1:
        return client.redirect_uris[0]
    return redirect_uri if redirect_uri is not None and client.allows_redirect(redirect_uri) else None


def state_of(form: Form) -> str | None:
    """Return the `state` to repeat in an error, if there is one that can be repeated."""
    try:
        state = form.get("state")
    except InvalidRequest:
        return None
    return state if state is not None and len(state) <= MAX_STATE_LENGTH else None


def checked(server: Server, form: Form, client: Client, redirect_uri: str) -> AuthorizationRequest:
    """Return the request, if all of it is acceptable.

    Raises:
        OAuthError: RFC 6749 §4.1.2.1, RFC 7636 §4.4.1, RFC 8707 §2.
    """
    if form.get("request") is not None or form.get("request_uri") is not None:
        raise RequestNotSupported("Request objects are not supported")
    if form.require("response_type") != "code":
        raise UnsupportedResponseType("The only response_type is code")
    if form.get("response_mode") not in (None, "query"):
        raise InvalidRequest("The only response_mode is query")
    if GRANT_AUTHORIZATION_CODE not in client.grant_types:
        raise UnauthorizedClient("The client may not use the authorization code grant")
    prompt = parse_scope(form.get("prompt"))
    if "none" in prompt and len(prompt) > 1:
        # OIDC Core §3.1.2.1.
        raise InvalidRequest("The prompt none goes with no other")
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
        dpop_jkt=_dpop_key(form),
        state=state,
        prompt=prompt,
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
    if not _SHA256.fullmatch(challenge):
        raise InvalidRequest("The code_challenge is malformed")
    return challenge


def _dpop_key(form: Form) -> str | None:
    thumbprint = form.get("dpop_jkt")
    if thumbprint is not None and not _SHA256.fullmatch(thumbprint):
        raise InvalidRequest("The dpop_jkt is malformed")
    return thumbprint
