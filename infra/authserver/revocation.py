"""Revocation: a client gives a token back, and with it all that was issued beside it (RFC 7009)."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from authcore.forms import read_form
from authcore.oauth2_types import NO_STORE
from authserver import counters
from authserver.active_tokens import ActiveToken
from authserver.clients import Client
from authserver.event_outbox import Cause
from authserver.state import server_of

logger = logging.getLogger(__name__)


async def revoke(request: Request) -> Response:
    """End the delegation of a token.

    The answer to an authenticated client is always the same: whether the token was good, or somebody else's,
    is none of its business (RFC 7009 §2.2). `token_type_hint` is not needed to find a token.

    Raises:
        InvalidClient: the caller is not the client it says it is.
        InvalidRequest: there is no token in the request.
    """
    server = server_of(request)
    server.counters.count(counters.REVOCATION)
    form = await read_form(request)
    client = await server.client_auth.authenticate(request, form)
    presented = form.require("token")
    cause = Cause(initiator="system", reason=f"The client {client.client_id} revoked a token")
    refresh_token = await server.refresh_tokens.find(presented, server.now())
    if refresh_token is not None and refresh_token.delegation.client_id == client.client_id:
        await server.delegations.revoke(refresh_token.delegation.delegation_id, server.now(), cause)
    token = await server.active_tokens.find(presented)
    if token is not None:
        if _is_clients(token, client):
            await server.delegations.revoke(token.delegation.delegation_id, server.now(), cause)
        else:
            logger.info("%s tried to revoke another client's token", client.client_id)
    return Response(status_code=200, headers=NO_STORE)


def _is_clients(token: ActiveToken, client: Client) -> bool:
    """Tell whether the token was issued to this client: itself, or by exchange, or so for an actor of its."""
    holder, *before = token.actors or (token.delegation.client_id,)
    for_actor = holder in client.actors and before[:1] == [client.client_id]
    return for_actor or client.client_id in (holder, token.delegation.client_id)
