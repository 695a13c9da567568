"""A server on a real socket, and clients that do not play by the rules."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from authcore import http_protocol, service
from authcore.http_protocol import MAX_HEAD_BYTES
from authcore.service import RequestLimits, ServiceSettings, server_config
from tests.support.eventually import eventually

ATTEMPT_SECONDS = 10


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.headers.get("echo") or await request.body())


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    app = RequestLimits(Starlette(routes=[Route("/", echo, methods=["GET", "POST"])]), max_body_bytes=1000)
    settings = ServiceSettings.model_construct(host="127.0.0.1", port=0, log_level="debug")
    server = uvicorn.Server(server_config(app, settings))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def exchange(port: int, *pieces: bytes, repeat: int = 1) -> bytes:
    """Send, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(ATTEMPT_SECONDS):
        with contextlib.suppress(ConnectionError):
            for piece in pieces * repeat:
                writer.write(piece)
                await writer.drain()
        received = b""
        with contextlib.suppress(ConnectionError):
            received = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return received


async def test_ordinary_requests_pass_also_pipelined_and_in_small_pieces(port: int) -> None:
    get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    answer = await exchange(port, get + get + post)
    assert answer.count(b"200 OK") == 3
    assert answer.endswith(b"hello")
    assert (await exchange(port, *(bytes([byte]) for byte in post))).endswith(b"hello")


async def test_whitespace_around_a_header_value_is_no_part_of_it(port: int) -> None:
    answer = await exchange(
        port, b"GET / HTTP/1.1\r\nhost: x \r\necho: \t a b \t \r\nconnection: close\r\n\r\n"
    )
    assert answer.endswith(b"\r\n\r\na b")


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\nhost: x\r\na: "], ids=["request line", "header"]
)
async def test_an_endless_head_is_cut_off(port: int, start: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    with contextlib.suppress(ConnectionError):
        writer.write(start)
        async with asyncio.timeout(ATTEMPT_SECONDS):
            while sent < 64 * MAX_HEAD_BYTES:
                writer.write(b"a" * 8192)
                await writer.drain()
                sent += 8192
                if reader.at_eof():
                    break
                await asyncio.sleep(0)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    assert sent < 64 * MAX_HEAD_BYTES
    assert (await exchange(port, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_many_headers_of_a_known_size_are_431(port: int) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\na: " + b"a" * 60_000 + b"\r\n\r\n"
    assert (await exchange(port, head)).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nhost:"], ids=["silence", "half a head"])
async def test_a_head_that_never_comes_to_an_end_is_given_up(
    port: int, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_SECONDS", 0.05)
    assert await exchange(port, head) == b""


async def test_a_body_that_never_comes_to_an_end_is_408(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BODY_TIMEOUT_SECONDS", 0.05)
    answer = await exchange(port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_websocket_upgrade_is_an_ordinary_request_and_its_token_is_not_logged(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answer = await exchange(
        port,
        b"GET /?access_token=planted HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
        b"connection: upgrade, close\r\nauthorization: Bearer planted\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200")
    # pytest revives the access log, which is off: the journeys look into the logs of real processes.
    assert not any("planted" in log.getMessage() for log in caplog.records if log.name != "uvicorn.access")
