"""Serving an ASGI application on a real socket, from within a test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from tests.support.eventually import eventually
from tests.support.redis_server import free_port


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncGenerator[str]:
    """Yield the base URL under which the application answers."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, backlog=2048)
    )
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving
