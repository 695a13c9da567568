import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from loadtest.connections import LoadError, drive

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(*answers: bytes) -> AsyncGenerator[int]:
    """Gives these answers on every connection, one for each request, and then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


async def test_every_request_is_sent_once_over_no_more_connections_than_asked_for() -> None:
    async with answering(*[answer("200 OK", b"good")] * 3) as port:
        answered = await drive(port, [REQUEST] * 6, connections=2)
    assert answered.last_body == b"good"
    assert answered.seconds > 0


async def test_an_answer_that_is_not_200_ends_the_run_and_is_shown() -> None:
    async with answering(answer("401 Unauthorized", b"invalid_client")) as port:
        with pytest.raises(LoadError, match="401 Unauthorized: invalid_client"):
            await drive(port, [REQUEST], connections=1)


async def test_a_connection_that_the_server_ends_is_an_error() -> None:
    async with answering(answer("200 OK", b"good")) as port:
        with pytest.raises(LoadError, match="ended a connection"):
            await drive(port, [REQUEST] * 2, connections=1)
