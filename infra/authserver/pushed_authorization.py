"""The pushed authorization request endpoint (RFC 9126 §2)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import InvalidRequest
from authcore.forms import Form, read_form
from authcore.oauth2_types import NO_STORE
from authserver import counters, endpoints
from authserver.authorization_checks import checked, redirect_target
from authserver.dpop import next_nonce, proven_key
from authserver.pushed_requests import LIFETIME_SECONDS
from authserver.state import server_of


async def push(request: Request) -> Response:
    """Check a request as the authorization endpoint would, and keep it for the browser.

    Raises:
        OAuthError: RFC 9126 §2.3; what the authorization endpoint would refuse is refused here.
    """
    server = server_of(request)
    server.counters.count(counters.PUSHED_AUTHORIZATION)
    form = await read_form(request)
    client = await server.client_auth.authenticate(request, form)
    redirect_uri = redirect_target(client, form)
    if redirect_uri is None:
        raise InvalidRequest("The redirect_uri is not one the client registered")
    pending = checked(server, form, client, redirect_uri)
    key = await proven_key(server, request, endpoints.PUSH)
    if key is not None and pending.dpop_jkt is None:
        # RFC 9449 §10.1: the proof says the same as the parameter.
        form = Form([*form, ("dpop_jkt", key)])
    elif key is not None and key != pending.dpop_jkt:
        raise InvalidRequest("The dpop_jkt is not the key of the DPoP proof")
    request_uri = await server.pushed_requests.add(client.client_id, form, server.now())
    answer = {"request_uri": request_uri, "expires_in": LIFETIME_SECONDS}
    return JSONResponse(answer, 201, headers=NO_STORE | (next_nonce(server) if key else {}))
