"""A cheap client: ready-made bytes over keep-alive connections, one request at a time on each.

It knows no more of HTTP than what the servers measured here answer with, so that what is measured is them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Final

TIMEOUT_SECONDS: Final = 120.0


class LoadError(Exception):
    """An answer was wrong, or did not come."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of some requests."""

    seconds: float
    last_body: bytes


async def drive(port: int, requests: Sequence[bytes], *, connections: int) -> Answered:
    """Send all requests, as many at a time as there are connections, and return when all were answered.

    Raises:
        LoadError: an answer was not 200, or not all came within `TIMEOUT_SECONDS`.
    """
    remaining = iter(requests)
    began = perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
            turns = [group.create_task(_take_turns(port, remaining)) for _ in range(connections)]
    except TimeoutError:
        raise LoadError(f"not all requests were answered within {TIMEOUT_SECONDS:.0f} s") from None
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    seconds = perf_counter() - began
    return Answered(seconds, next(body for turn in turns if (body := turn.result())))


async def _take_turns(port: int, requests: Iterator[bytes]) -> bytes:
    """Send requests one after the other until there are no more; return the last answer's body."""
    body = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            for request in requests:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_content_length(head))
                if not head.startswith(b"HTTP/1.1 200 "):
                    status = head.partition(b"\r\n")[0].decode("latin-1")
                    raise LoadError(f"{status}: {body.decode('utf-8', 'replace')[:500]}")
        await writer.wait_closed()
    except (OSError, EOFError) as error:
        raise LoadError(f"the server on port {port} ended a connection: {error}") from None
    return body


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise LoadError("an answer without content-length")
