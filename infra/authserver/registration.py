"""Dynamic client registration, open to everybody (RFC 7591)."""

import json
from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import InvalidClientMetadata
from authcore.oauth2_types import NO_STORE
from authserver import counters
from authserver.client_metadata import accept_metadata
from authserver.state import server_of


async def register(request: Request) -> Response:
    """Register a client.

    Its `scope` is answered with all that policy offers: which scopes a client gets is the user's decision, at
    the time, so that a client that needs one more later does not have to register again.

    Raises:
        InvalidRedirectUri: RFC 7591 §3.2.2.
        InvalidClientMetadata: likewise.
    """
    server = server_of(request)
    server.counters.count(counters.REGISTRATION)
    metadata = accept_metadata(
        await _json_object(request), server.policy, default_method="client_secret_basic"
    )
    registration = await server.registered_clients.add(metadata, server.now())
    document: dict[str, object] = {
        "client_id": registration.client_id,
        "client_id_issued_at": registration.registered_at,
        **metadata.document(),
        "scope": " ".join(sorted(server.policy.scopes)),
    }
    if registration.client_secret is not None:
        document |= {"client_secret": registration.client_secret, "client_secret_expires_at": 0}
    return JSONResponse(document, 201, headers=NO_STORE)


async def _json_object(request: Request) -> dict[str, object]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidClientMetadata("The body must be application/json")
    try:
        parsed: object = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidClientMetadata("The body is not JSON") from None
    if not isinstance(parsed, dict):
        raise InvalidClientMetadata("The body must be a JSON object")
    return cast("dict[str, object]", parsed)
