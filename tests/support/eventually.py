"""Waiting for something outside this process, with a bound."""

import asyncio
import time
from collections.abc import Callable

POLL_SECONDS = 0.02


async def eventually(holds: Callable[[], bool], *, within_seconds: float = 10.0) -> None:
    """Return as soon as it holds; fail the test if that takes too long."""
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(POLL_SECONDS)
