"""Work that nobody waits for any more is stopped, on real sockets: the API sees its request end."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from authcore.http_client import pooled_client
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import Gateway, running
from tests.support.issuer import Clock
from tests.support.listening import listening
from tests.support.messages import LEGACY, META, MODERN, call_message

TOOL = "fetch-stock-prices"


CALL = call_message(TOOL)
MODERN_CALL = CALL | {"params": {"name": TOOL, "arguments": {}, "_meta": META}}
ERAS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "legacy": (CALL, LEGACY),
    "modern": (MODERN_CALL, MODERN | {"mcp-method": "tools/call", "mcp-name": TOOL}),
}


@dataclass
class SilentApi:
    """Takes requests and never answers; notices when the other side hangs up."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await reader.read()
        self.left.set()
        writer.close()


@asynccontextmanager
async def silent_api(gateway: Gateway) -> AsyncGenerator[SilentApi]:
    """Put a silent API behind the gateway, reached as the real one is."""
    silent = SilentApi()
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, pooled_client(timeout_seconds=30) as client:

        async def pass_on(request: httpx.Request) -> None:
            if request.url.host == "api.test":
                await client.get(f"http://{host}:{port}{request.url.path}")

        gateway.network.before_answer = pass_on
        yield silent


@asynccontextmanager
async def on_a_socket(gateway: Gateway) -> AsyncGenerator[str]:
    """Yield where the gateway listens; its lifespan has begun already."""

    async def requests_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await gateway.app(scope, receive, send)
            return
        for said in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{said}.complete"})

    async with listening(requests_only) as url:
        yield url


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"allowed_hosts": frozenset({"mcp.test"})})


@pytest.mark.requirement("hang-up")
@pytest.mark.parametrize("era", ERAS)
async def test_when_the_agent_hangs_up_the_request_to_the_api_ends(gateway: Gateway, era: str) -> None:
    message, headers = ERAS[era]
    body = json.dumps(message).encode()
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = ["POST /mcp HTTP/1.1", "host: mcp.test", "authorization: Bearer john", *lines]
    request = "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body
    async with silent_api(gateway) as api, on_a_socket(gateway) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(request)
        async with asyncio.timeout(10):
            await api.asked.wait()
            assert not api.left.is_set()
            writer.close()
            await api.left.wait()
        assert reader.at_eof() or await reader.read() == b""


@pytest.mark.parametrize("era", ERAS)
async def test_at_the_deadline_the_request_to_the_api_ends_and_the_agent_is_told(
    settings: Settings, clock: Clock, era: str
) -> None:
    message, headers = ERAS[era]
    hasty = settings.model_copy(update={"request_deadline_seconds": 0.5})
    async with running(hasty, clock) as gateway, silent_api(gateway) as api:
        response = await gateway.post(message, headers=headers)
        assert response.status_code == 504
        assert response.json()["id"] == 1
        assert "look whether it has been done" in response.json()["error"]["message"]
        async with asyncio.timeout(10):
            await api.left.wait()


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_that_stays_gets_its_answer(gateway: Gateway, era: str) -> None:
    message, headers = ERAS[era]
    async with on_a_socket(gateway) as url, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(3):
            response = await client.post(
                url + "/mcp",
                json=message,
                headers=headers | {"host": "mcp.test", "authorization": "Bearer john"},
            )
            assert response.status_code == 200
            assert not response.json()["result"]["isError"]
