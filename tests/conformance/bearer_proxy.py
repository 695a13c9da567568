"""Adds a bearer token to whatever passes, for suites that cannot send one.

All else arrives as it was sent: `Host`, repeated headers, spelling, streams. Each connection carries one
request, so that nothing but the first head has to be understood.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

HEAD_END = b"\r\n\r\n"
CHUNK_BYTES = 64 * 1024


@asynccontextmanager
async def bearer_proxy(port: int, upstream_port: int, token: str) -> AsyncGenerator[None]:
    """Listen on a loopback port until the block ends, and pass everything on with the token."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(HEAD_END)
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream_port)
            up_writer.write(with_bearer(head, token))
            await _both_ways(reader, writer, up_reader, up_writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


def with_bearer(head: bytes, token: str) -> bytes:
    """Return the head of a request with the token, and as the last of its connection."""
    start, *headers = head.removesuffix(HEAD_END).split(b"\r\n")
    kept = [header for header in headers if not header.lower().startswith(b"connection:")]
    ours = [b"Connection: close", f"Authorization: Bearer {token}".encode()]
    return b"\r\n".join([start, *ours, *kept]) + HEAD_END


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    up_reader: asyncio.StreamReader,
    up_writer: asyncio.StreamWriter,
) -> None:
    """Carry bytes until either side has ended: a client that leaves is one who leaves the server."""
    flows = [asyncio.create_task(_flow(reader, up_writer)), asyncio.create_task(_flow(up_reader, writer))]
    try:
        await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for flow in flows:
            flow.cancel()
        await asyncio.gather(*flows, return_exceptions=True)
        up_writer.close()


async def _flow(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
