"""What is published, as seen from outside."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from faststream.redis import RedisBroker, StreamSub

from authcore.errors import TemporarilyUnavailable
from authcore.events import PriceUpdate
from stocks.price_store import Board, PriceStore


async def board_when(
    store: PriceStore, holds: Callable[[Board], bool], *, within_seconds: float = 10, region: str = "USA"
) -> Board:
    """Return the region's board as soon as it is so."""
    async with asyncio.timeout(within_seconds):
        while True:
            with suppress(TemporarilyUnavailable):
                board = await store.read(region)
                if holds(board):
                    return board
            await asyncio.sleep(0.01)


async def reaches(store: PriceStore, sequence: int, *, within_seconds: float = 10) -> Board:
    """Return the board as soon as so many updates were published."""
    return await board_when(store, lambda board: board.sequence >= sequence, within_seconds=within_seconds)


async def heard(url: str, count: int, *, region: str = "USA") -> list[PriceUpdate]:
    """Return the first updates of the region's stream, as a consumer that is none of ours hears them."""
    broker, updates, enough = RedisBroker(url, log_level=logging.DEBUG), list[PriceUpdate](), asyncio.Event()

    @broker.subscriber(stream=StreamSub(f"prices.{region}", last_id="0"))
    async def hear(update: PriceUpdate) -> None:
        updates.append(update)
        if len(updates) >= count:
            enough.set()

    async with broker:
        await broker.start()
        async with asyncio.timeout(10):
            await enough.wait()
    return updates[:count]
