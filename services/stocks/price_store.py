"""The prices in Redis: the latest of each stock and the stream of updates, changed in one step.

| key | holds |
|---|---|
| `prices.<region>` | stream of updates, its last ones |
| `{prices.<region>}:latest` | hash: stock → its last update, as JSON |
| `{prices.<region>}:state` | hash: `sequence` of the last update, `fence` of who wrote it |

All keys of a region are in one slot of a Redis Cluster: that of the stream's name.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import ValidationError
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from authcore.events import PRICES, PriceUpdate
from authcore.redis_client import BoundedRedis

ATTEMPTS: Final = 3

Append = Callable[[str, PriceUpdate, Pipeline], Awaitable[None]]
"""Adds one update to a region's stream, within a transaction."""


class Fenced(Exception):
    """Somebody with a later lease has written: whoever meets this must not publish any more."""


class OutOfStep(Exception):
    """Redis does not hold what was written last: it lost something, or somebody else wrote."""


@dataclass(frozen=True, slots=True)
class Board:
    """What Redis knows of a region."""

    sequence: int
    latest: Mapping[str, PriceUpdate]


class PriceStore:
    """Reads and writes the prices of regions."""

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def read(self, region: str) -> Board:
        """Return the region's board; an empty one for a region that has none.

        Entries that cannot be read are left out: the next update replaces them.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis, redis.pipeline(transaction=True) as pipe:
            pipe.hget(_state(region), "sequence")
            pipe.hgetall(_latest(region))
            sequence, latest = cast("tuple[bytes | None, dict[bytes, bytes]]", tuple(await pipe.execute()))
        return Board(_number(sequence), {update.symbol: update for update in _parsed(latest.values())})

    async def claim(self, region: str, *, token: int) -> Board:
        """Return the region's board, which nobody with an earlier lease changes from now on.

        Raises:
            Fenced: a later lease has written.
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis, redis.pipeline(transaction=True) as pipe:
            await _retried(pipe, lambda: self._claim(pipe, region, token))
        return await self.read(region)

    async def write(self, region: str, updates: Sequence[PriceUpdate], *, token: int, append: Append) -> None:
        """Make the updates the region's latest and append them to its stream: all of it, or nothing.

        Args:
            region: whose stocks they are.
            updates: numbered one after another, and after the last that was written.
            token: the writer's lease.
            append: adds one update to the stream.

        Raises:
            Fenced: a later lease has written.
            OutOfStep: the first update is not the one that comes next.
            TemporarilyUnavailable: Redis did not say whether it is done.
        """
        async with self._redis.use() as redis, redis.pipeline(transaction=True) as pipe:
            await _retried(pipe, lambda: self._write(pipe, region, updates, token, append))

    async def _claim(self, pipe: Pipeline, region: str, token: int) -> None:
        await _fenced_sequence(pipe, region, token)
        pipe.multi()
        pipe.hset(_state(region), "fence", str(token))
        await pipe.execute()

    async def _write(
        self, pipe: Pipeline, region: str, updates: Sequence[PriceUpdate], token: int, append: Append
    ) -> None:
        if updates[0].sequence != await _fenced_sequence(pipe, region, token) + 1:
            raise OutOfStep
        pipe.multi()
        latest = {update.symbol: update for update in updates}
        documents = {symbol: update.model_dump_json() for symbol, update in latest.items()}
        pipe.hset(_latest(region), mapping=cast("dict[Any, Any]", documents))
        pipe.hset(_state(region), mapping={"sequence": updates[-1].sequence, "fence": token})
        for update in updates:
            await append(region, update, pipe)
        await pipe.execute()


async def _retried(pipe: Pipeline, transaction: Callable[[], Awaitable[None]]) -> None:
    """Run the transaction again if what it had read was changed meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            await transaction()
        except WatchError:
            await pipe.reset()
            continue
        return
    raise Fenced


async def _fenced_sequence(pipe: Pipeline, region: str, token: int) -> int:
    """Return the number of the region's last update; what follows in the pipeline holds only if it stays."""
    await pipe.watch(_state(region))
    read = cast("Awaitable[list[bytes | None]]", pipe.hmget(_state(region), ["sequence", "fence"]))
    sequence, fence = await read
    if _number(fence) > token:
        raise Fenced
    return _number(sequence)


def _latest(region: str) -> str:
    return f"{{{PRICES}{region}}}:latest"


def _state(region: str) -> str:
    return f"{{{PRICES}{region}}}:state"


def _number(value: bytes | None) -> int:
    return int(value or 0)


def _parsed(documents: Iterable[bytes]) -> list[PriceUpdate]:
    updates: list[PriceUpdate] = []
    for document in documents:
        try:
            updates.append(PriceUpdate.model_validate_json(document))
        except ValidationError:
            continue
    return updates
