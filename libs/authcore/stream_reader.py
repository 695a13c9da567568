"""Reading a Redis stream whole, by one reader in the process, from its own position (docs/adr/0004).

A reader resumes where it was after an outage. It knows up to which moment it has seen everything, and says so
when it cannot have seen everything: the stream was trimmed past it, is another stream now, or may have lost
its last entries in an outage, as it does when a replica takes over.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast

from redis.asyncio import RedisCluster

from authcore.background import in_background
from authcore.clock import Monotonic, monotonic
from authcore.redis_client import TROUBLE, BoundedRedis

logger = logging.getLogger(__name__)

BLOCK_MILLISECONDS: Final = 500
BATCH: Final = 500
SILENCE_SECONDS: Final = 2.0
"""After so long without an entry it is looked at what has become of the stream."""
MAX_BACKOFF_SECONDS: Final = 1.0

Position = tuple[int, int]
"""An entry's id: milliseconds and a number."""


class StreamListener(Protocol):
    """What a reader hands over to. None of these may block or raise."""

    def on_entry(self, fields: Mapping[bytes, bytes]) -> None:
        """One entry, in the order of the stream."""
        ...

    def on_gap(self) -> None:
        """Entries may have been missed: some before the last ones handed over, or before the first."""
        ...

    def on_caught_up(self, at: float) -> None:
        """Everything that was in the stream at this moment (of the monotonic clock) was handed over."""
        ...


class StreamReader:
    """Follows one stream for as long as `run` runs."""

    def __init__(
        self, redis: BoundedRedis, stream: str, listener: StreamListener, *, clock: Monotonic = monotonic
    ) -> None:
        self._redis = redis
        self._stream = stream
        self._listener = listener
        self._clock = clock
        self._position: Position | None = None
        self._caught_up_at = float("-inf")
        self._was_away = False

    async def run(self) -> None:
        """Read until cancelled, whatever becomes of Redis in the meantime."""
        backoff = 0.0
        while True:
            try:
                await self._advance()
                backoff = 0.0
            except TROUBLE as error:
                if backoff == 0.0:
                    logger.warning("the stream %s cannot be read: %s", self._stream, type(error).__name__)
                self._was_away = True
                backoff = min(backoff * 2 or 0.05, MAX_BACKOFF_SECONDS)
                await asyncio.sleep(backoff)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Read in the background while the context is open."""
        async with in_background(self.run(), f"reader of {self._stream}"):
            yield

    async def _advance(self) -> None:
        if self._position is None:
            await self._begin()
        position = self._position or (0, 0)
        # The moment of the question, not of the answer: a process that was stopped in between finds an answer
        # that has been waiting for it and says nothing of what came later.
        asked_at = self._clock()
        entries = await self._read(position)
        silent = self._clock() - self._caught_up_at > SILENCE_SECONDS
        if self._was_away:
            self._was_away = False
            self._listener.on_gap()
        if not entries:
            if silent and await self._newest() < position:
                logger.warning("the stream %s is another one now", self._stream)
                self._position = None
            return
        trimmed = (silent or len(entries) == BATCH) and await self._oldest() > position
        for _, fields in entries:
            self._listener.on_entry(fields)
        if trimmed:
            self._listener.on_gap()
        self._position = entries[-1][0]
        if len(entries) < BATCH:
            self._caught_up_at = asked_at
            self._listener.on_caught_up(asked_at)

    async def _begin(self) -> None:
        self._position = await self._newest()
        # What was learned before this position was known may have been revoked in between.
        self._listener.on_gap()

    async def _read(self, after: Position) -> list[tuple[Position, Mapping[bytes, bytes]]]:
        position = f"{after[0]}-{after[1]}"
        redis, where = await self._redis.ready(), dict[str, Any]()
        cluster: object = redis
        if isinstance(cluster, RedisCluster):
            # Without being told, the client asks some other node first which argument the key is.
            where = {"target_nodes": cluster.get_node_from_key(self._stream)}
        read = ("XREAD", "COUNT", BATCH, "BLOCK", BLOCK_MILLISECONDS, "STREAMS", self._stream, position)
        send = cast(
            "Callable[..., Awaitable[object]]",
            redis.execute_command,  # pyright: ignore[reportUnknownMemberType]
        )
        answer = await send(*read, **where)
        streams = cast("list[tuple[bytes, list[tuple[bytes, Mapping[bytes, bytes]]]]]", answer)
        return [(_position(entry), fields) for _, entries in streams for entry, fields in entries]

    async def _oldest(self) -> Position:
        redis = await self._redis.ready()
        entries = await redis.xrange(self._stream, count=1)  # pyright: ignore[reportUnknownMemberType]
        return _first(entries)

    async def _newest(self) -> Position:
        redis = await self._redis.ready()
        entries = await redis.xrevrange(self._stream, count=1)  # pyright: ignore[reportUnknownMemberType]
        return _first(entries)


def _first(entries: object) -> Position:
    found = cast("list[tuple[bytes, object]]", entries)
    return _position(found[0][0]) if found else (0, 0)


def _position(entry_id: bytes) -> Position:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number)
