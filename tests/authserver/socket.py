"""An authorization server on a socket, for clients that are other programs."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tests.authserver.server import AuthServer, serving


@asynccontextmanager
async def listening(directory: Path, **settings: Any) -> AsyncGenerator[AuthServer]:
    """The same server as `serving`, whose issuer can be reached by everybody on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        issuer = f"http://127.0.0.1:{listener.getsockname()[1]}/oauth/v2/oauth-anonymous"
        async with serving(directory, issuer=issuer, **settings) as server:
            config = uvicorn.Config(server.app, lifespan="off", log_config=None, access_log=False)
            http = uvicorn.Server(config)
            serve = asyncio.create_task(http.serve(sockets=[listener]))
            yield server
            http.should_exit = True
            await serve
