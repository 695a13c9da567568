"""A client that registered reads, changes or withdraws its registration (RFC 7592)."""

import hmac
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.bearer import bearer_token
from authcore.errors import InvalidClientMetadata, InvalidToken
from authcore.oauth2_types import NO_STORE
from authserver.client_metadata import accept_metadata
from authserver.event_outbox import Cause
from authserver.registered_clients import RegisteredClient
from authserver.registration import json_object, registration_document
from authserver.secret_values import secret_hash
from authserver.state import Server, server_of

logger = logging.getLogger(__name__)

_ISSUED: Final = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
_WITHDRAWN: Final = Cause(initiator="system", reason="The client withdrew its registration")


async def manage(request: Request) -> Response:
    """Let a client that holds its registration access token at its registration.

    Raises:
        MissingCredentials: there is no token.
        InvalidToken: it is not this client's, or there is no such client.
        InvalidClientMetadata: a change is not acceptable.
        InvalidRedirectUri: likewise.
    """
    server = server_of(request)
    token = bearer_token(request.scope["headers"])
    registered = await _authenticated(server, request.path_params["client_id"], token)
    if request.method == "DELETE":
        return await _withdraw(server, registered)
    if request.method == "PUT":
        return await _change(server, registered, await json_object(request), token)
    document = registration_document(server, registered, registered.metadata, token)
    return JSONResponse(document, headers=NO_STORE)


async def _authenticated(server: Server, client_id: str, token: str) -> RegisteredClient:
    registered = await server.registered_clients.read(client_id)
    expected = bytes(32) if registered is None else registered.management_hash
    if not hmac.compare_digest(secret_hash(token), expected) or registered is None:
        raise InvalidToken("The registration access token is not valid")
    return registered


async def _change(
    server: Server, registered: RegisteredClient, document: dict[str, object], token: str
) -> Response:
    if document.get("client_id") != registered.client_id:
        raise InvalidClientMetadata("The client_id must be the client's own")
    if any(name in document for name in _ISSUED):
        raise InvalidClientMetadata(f"A change must not hold {', '.join(_ISSUED)}")
    secret = document.get("client_secret")
    if secret is not None and not (
        isinstance(secret, str)
        and registered.secret_hash is not None
        and hmac.compare_digest(secret_hash(secret), registered.secret_hash)
    ):
        raise InvalidClientMetadata("The client_secret must be the client's own")
    metadata = accept_metadata(document, server.policy, default_method="client_secret_basic")
    new_secret = await server.registered_clients.replace(registered, metadata)
    # What users agreed to was another description of this client.
    await server.consents.forget_client(registered.client_id)
    answer = registration_document(server, registered, metadata.document(), token, secret=new_secret)
    return JSONResponse(answer, headers=NO_STORE)


async def _withdraw(server: Server, registered: RegisteredClient) -> Response:
    await server.registered_clients.remove(registered.client_id)
    await server.consents.forget_client(registered.client_id)
    for delegation_id in await server.delegations.living_of_client(registered.client_id):
        await server.delegations.revoke(delegation_id, server.now(), _WITHDRAWN)
    logger.info("client %s withdrew its registration", registered.client_id)
    return Response(status_code=204, headers=NO_STORE)
