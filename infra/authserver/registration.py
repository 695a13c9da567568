"""Dynamic client registration, open to everybody (RFC 7591)."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import InvalidClientMetadata
from authcore.oauth2_types import NO_STORE
from authserver import counters, endpoints
from authserver.client_metadata import accept_metadata, parse_object
from authserver.rate_limits import address_of
from authserver.registered_clients import RegisteredClient
from authserver.state import Server, server_of


async def register(request: Request) -> Response:
    """Register a client.

    Its `scope` is answered with all that policy offers: which scopes a client gets is the user's decision, at
    the time, so that a client that needs one more later does not have to register again.

    Raises:
        TooManyRequests: from this address.
        InvalidRedirectUri: RFC 7591 §3.2.2.
        InvalidClientMetadata: likewise.
    """
    server = server_of(request)
    server.counters.count(counters.REGISTRATION)
    server.registration_limit.take(address_of(request))
    metadata = accept_metadata(
        await json_object(request), server.policy, default_method="client_secret_basic"
    )
    registered, management_token, secret = await server.registered_clients.add(metadata, server.now())
    document = registration_document(server, registered, metadata.document(), management_token, secret=secret)
    return JSONResponse(document, 201, headers=NO_STORE)


def registration_document(
    server: Server,
    registered: RegisteredClient,
    metadata: Mapping[str, object],
    management_token: str,
    *,
    secret: str | None = None,
) -> dict[str, object]:
    """Return what a client is told of its registration (RFC 7591 §3.2.1, RFC 7592 §3).

    Its secret is only told when it is new: afterwards nobody but the client knows it.
    """
    document: dict[str, object] = {
        "client_id": registered.client_id,
        "client_id_issued_at": registered.registered_at,
        **metadata,
        "scope": " ".join(sorted(server.policy.scopes)),
        "registration_client_uri": server.where.url(f"{endpoints.REGISTER}/{registered.client_id}"),
        "registration_access_token": management_token,
    }
    return document if secret is None else document | {"client_secret": secret, "client_secret_expires_at": 0}


async def json_object(request: Request) -> dict[str, object]:
    """Return the metadata that a request brings.

    Raises:
        InvalidClientMetadata: it brings something else.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidClientMetadata("The body must be application/json")
    try:
        return parse_object(await request.body())
    except ValueError:
        raise InvalidClientMetadata("The body is not a JSON object") from None
