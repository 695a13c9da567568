"""Work beside the requests: supervised, so that one failure does not end it for good."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

logger = logging.getLogger(__name__)

RESTART_SECONDS: Final = 5

Work = Callable[[], Awaitable[None]]


@asynccontextmanager
async def in_background(name: str, work: Work) -> AsyncGenerator[None]:
    """Run work that never returns while the block lasts. If it fails it is logged and started again."""

    async def supervise() -> None:
        while True:
            try:
                await work()
            except Exception:
                logger.exception("%s failed and is started again", name)
            await asyncio.sleep(RESTART_SECONDS)

    task = asyncio.create_task(supervise(), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def every(seconds: float, work: Work) -> Work:
    """Return work that does this again and again, with a pause in between."""

    async def repeat() -> None:
        while True:
            await work()
            await asyncio.sleep(seconds)

    return repeat
