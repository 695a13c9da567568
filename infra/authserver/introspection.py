"""Introspection, in three forms (RFC 7662, RFC 9701, and the phantom token: a JWT for an opaque token)."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import UnauthorizedClient
from authcore.forms import read_form
from authcore.oauth2_types import MEDIA_TYPE_INTROSPECTION_JWT, MEDIA_TYPE_JWT, NO_STORE
from authserver import counters
from authserver.active_tokens import ACCESS_TOKEN_JWT, ActiveToken
from authserver.clients import Client
from authserver.state import Server, server_of

_INTROSPECTION_JWT: Final = "token-introspection+jwt"
_JSON: Final = "application/json"
_OFFERED: Final = (MEDIA_TYPE_JWT, MEDIA_TYPE_INTROSPECTION_JWT, _JSON)


async def introspect(request: Request) -> Response:
    """Say what a token is good for, to a client that may know.

    Raises:
        InvalidClient: the caller is not authenticated.
        UnauthorizedClient: it is, but introspection is not for it: anybody can register.
    """
    server = server_of(request)
    server.counters.count(counters.INTROSPECTION)
    form = await read_form(request)
    client = await server.client_auth.authenticate(request, form)
    if not client.may_introspect:
        raise UnauthorizedClient("The client may not introspect tokens")
    token = await server.active_tokens.find(form.require("token"))
    wanted = preferred_media_type(request.headers.get("accept", ""))
    if wanted == MEDIA_TYPE_JWT:
        return _phantom(server, token)
    if wanted == MEDIA_TYPE_INTROSPECTION_JWT:
        return _signed(server, client, token)
    return JSONResponse(_document(server, token), headers=NO_STORE)


def preferred_media_type(accept: str) -> str:
    """Return which of our media types an `Accept` header wants most (RFC 9110 §12.5.1), JSON in doubt."""
    best, best_quality = _JSON, 0.0
    for part in accept.split(","):
        name, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = _quality(parameters)
        if name in _OFFERED and quality > best_quality:
            best, best_quality = name, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0


def _document(server: Server, token: ActiveToken | None) -> dict[str, object]:
    if token is None:
        # RFC 7662 §2.2: nothing about why.
        return {"active": False}
    return {"active": True, "token_type": token.token_type, **token.claims(server.where.issuer)}


def _phantom(server: Server, token: ActiveToken | None) -> Response:
    if token is None:
        return Response(status_code=204, headers=NO_STORE)
    signed = server.keys.sign(token.claims(server.where.issuer), token_type=ACCESS_TOKEN_JWT)
    return Response(signed, media_type=MEDIA_TYPE_JWT, headers=NO_STORE)


def _signed(server: Server, client: Client, token: ActiveToken | None) -> Response:
    # RFC 9701 §5: the token's own claims stay inside, so that this can never pass for an access token.
    claims = {
        "iss": server.where.issuer,
        "aud": client.client_id,
        "iat": server.now(),
        "token_introspection": _document(server, token),
    }
    signed = server.keys.sign(claims, token_type=_INTROSPECTION_JWT)
    return Response(signed, media_type=MEDIA_TYPE_INTROSPECTION_JWT, headers=NO_STORE)
