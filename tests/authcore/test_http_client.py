"""Answers are read whole, small and soon, or not at all."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from authcore.errors import TemporarilyUnavailable
from authcore.http_client import pooled_client, send_bounded


class Dripping(httpx.AsyncByteStream):
    def __init__(self, gate: asyncio.Event) -> None:
        self.gate = gate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"a"
        await self.gate.wait()


async def sent(answer: Callable[[], httpx.Response], **limits: float) -> bytes:
    async with pooled_client(timeout_seconds=1, transport=httpx.MockTransport(lambda _: answer())) as client:
        request = client.build_request("GET", "https://there.test/")
        return (await send_bounded(client, request, max_bytes=10, **limits)).body


async def test_an_answer_within_the_limits_is_read_whole() -> None:
    assert await sent(lambda: httpx.Response(200, content=b"1234567890")) == b"1234567890"


async def test_a_long_a_compressed_and_a_dripping_answer_are_refused() -> None:
    packed = gzip.compress(b"a" * 1_000_000)[:10]
    for answer in (
        httpx.Response(200, content=b"12345678901"),
        httpx.Response(200, stream=httpx.ByteStream(packed), headers={"content-encoding": "gzip"}),
        httpx.Response(200, stream=Dripping(asyncio.Event())),
    ):
        with pytest.raises(TemporarilyUnavailable):
            await sent(lambda answer=answer: answer, deadline_seconds=0.05)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 1), ("999", 60), ("9" * 5000, 5), ("soon", 5), ("-1", 5), ("٣", 5), (None, 5)],
)
async def test_retry_after_is_believed_within_reason(value: str | None, seconds: int) -> None:
    headers = [] if value is None else [(b"retry-after", value.encode())]
    transport = httpx.MockTransport(lambda _: httpx.Response(503, headers=headers))
    async with pooled_client(timeout_seconds=1, transport=transport) as client:
        response = await send_bounded(client, client.build_request("GET", "https://there.test/"))
    assert response.retry_after_seconds == seconds
