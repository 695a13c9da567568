"""Work that runs beside the requests for as long as a service lives."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

logger = logging.getLogger(__name__)

CANCEL_AGAIN_SECONDS: Final = 0.1


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], name: str) -> AsyncGenerator[None]:
    """Run the work while the context is open; it is cancelled, and has ended, when the context closes.

    Work that ends by itself has failed: that is logged at once, and what depends on it must not go on as if
    it were still running.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            # A cancellation that meets a connection just being made can get lost: then once more.
            await asyncio.wait([task], timeout=CANCEL_AGAIN_SECONDS)


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        logger.critical("%s has stopped", task.get_name(), exc_info=task.exception())
