"""Documents that anybody may read, from any web page: no token, no secret, the same for all."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CACHE_CONTROL: Final = "public, max-age=300"


def public_document(path: str, document: Mapping[str, Any], *, media_type: str = "application/json") -> Route:
    """Return the route of a document.

    Its preflight is answered for every header: clients send `MCP-Protocol-Version` along, also from a page. A
    reader that names what it has is told when that is still so (RFC 9110 §13.1.2).
    """
    content = json.dumps(document, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"cache-control": CACHE_CONTROL, "etag": etag}

    async def answer(request: Request) -> Response:
        known = {
            tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")
        }
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    endpoint = CORSMiddleware(
        Route(path, answer),
        allow_origins=["*"],
        allow_methods=["GET"],
        allow_headers=["*"],
        expose_headers=["ETag"],
        max_age=600,
    )
    return Route(path, endpoint)
