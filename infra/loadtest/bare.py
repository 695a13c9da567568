"""`python -m loadtest.bare PORT`: the least a Python service can do, as the floor for all others.

Served like every service, it reads a request and answers with fixed bytes: no framework, no routes.
"""

import sys
from typing import Final

from starlette.types import Receive, Scope, Send

from authcore.service import ServiceSettings, serve

_BODY: Final = b"x" * 1000
"""About as long as an answer of the token endpoint."""
_HEADERS: Final = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_BODY))]


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request."""
    if scope["type"] != "http":
        raise RuntimeError("the floor speaks HTTP only")
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    serve(bare, ServiceSettings(port=int(sys.argv[1])), service_name="bare")
