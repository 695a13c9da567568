"""The token endpoint (RFC 6749 §3.2)."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import InvalidDPoPProof, UnauthorizedClient, UnsupportedGrantType
from authcore.forms import Form, read_form
from authcore.oauth2_types import (
    GRANT_AUTHORIZATION_CODE,
    GRANT_CLIENT_CREDENTIALS,
    GRANT_JWT_BEARER,
    GRANT_REFRESH_TOKEN,
    GRANT_TOKEN_EXCHANGE,
    NO_STORE,
    TokenResponse,
)
from authserver import counters, endpoints
from authserver.client_credentials import client_credentials
from authserver.clients import Client
from authserver.code_grant import redeem_code
from authserver.dpop import next_nonce, proven_key
from authserver.identity_grant import redeem_assertion
from authserver.metadata import offered_grants
from authserver.refresh_grant import refresh
from authserver.state import Server, server_of
from authserver.token_exchange import exchange

Grant = Callable[[Server, Client, Form, str | None], Awaitable[TokenResponse]]

_GRANTS: Final[dict[str, tuple[str, Grant]]] = {
    GRANT_AUTHORIZATION_CODE: (counters.AUTHORIZATION_CODE, redeem_code),
    GRANT_CLIENT_CREDENTIALS: (counters.CLIENT_CREDENTIALS, client_credentials),
    GRANT_JWT_BEARER: (counters.JWT_BEARER, redeem_assertion),
    GRANT_REFRESH_TOKEN: (counters.REFRESH_TOKEN, refresh),
    GRANT_TOKEN_EXCHANGE: (counters.TOKEN_EXCHANGE, exchange),
}


async def token(request: Request) -> Response:
    """Authenticate the client, then let its grant decide.

    Raises:
        OAuthError: RFC 6749 §5.2.
    """
    server = server_of(request)
    form = await read_form(request)
    grant_type = form.require("grant_type")
    if grant_type not in offered_grants(server.policy, server.settings):
        raise UnsupportedGrantType("The grant_type is not supported")
    counter, grant = _GRANTS[grant_type]
    server.counters.count(counter)
    client = await server.client_auth.authenticate(request, form)
    if grant_type not in client.grant_types:
        raise UnauthorizedClient("The client may not use this grant_type")
    dpop_jkt = await proven_key(server, request, endpoints.TOKEN)
    if dpop_jkt is None and client.dpop_bound:
        raise InvalidDPoPProof("The client is registered for tokens that are bound to a key")
    answer = await grant(server, client, form, dpop_jkt)
    return JSONResponse(answer.document(), headers=NO_STORE | (next_nonce(server) if dpop_jkt else {}))
