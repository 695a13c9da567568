"""One piece of work at a time for each name, however many calls and replicas want it (docs/adr/0014).

Within a process callers share one task. Between replicas a lock in Redis names who works; the others wait for
its landing on a stream. A leader that crashes costs its waiters no more than the lock's deadline.

| key | holds | lives |
|---|---|---|
| `{flights}:<name>` | who is working | until it lands, or the deadline |
| `flights` | stream of landings | its last thousand |
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar, cast

from authcore.errors import OAuthError, TemporarilyUnavailable
from authcore.redis_client import NO_FILES, READER_TIMEOUT_SECONDS, BoundedRedis, Script, connect
from authcore.redis_url import TlsFiles
from authcore.single_flight import SingleFlight
from authcore.stream_reader import StreamReader
from token_broker.landings import Landing, Landings
from token_broker.sealing import fingerprint

logger = logging.getLogger(__name__)

FLIGHTS: Final = "flights"
STREAM_LENGTH: Final = 1000
PATIENCE: Final = 2.5
"""How many deadlines somebody waits in all: one for a leader that crashed, one for the next, and some."""

T = TypeVar("T")

_TAKE: Final = Script("""
-- KEYS: lock. ARGV: owner, deadline in milliseconds. Returns who has it, and for how long still.
local holder = redis.call('GET', KEYS[1])
if holder then return {holder, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {ARGV[1], tonumber(ARGV[2])}
""")

_LAND: Final = Script("""
-- KEYS: lock, stream. ARGV: owner, length of the stream, then the entry. Who is too late lands for nobody.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
return 1
""")


class ReplicaLocks:
    """The locks and landings of all replicas."""

    def __init__(self, redis: BoundedRedis, *, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        self._redis = redis
        self._landings = Landings()

    @asynccontextmanager
    async def listening(self, redis_url: str, *, tls: TlsFiles = NO_FILES) -> AsyncGenerator[None]:
        """Hear of landings while the context is open."""
        redis = connect(redis_url, tls=tls, timeout_seconds=READER_TIMEOUT_SECONDS, max_connections=1)
        try:
            async with StreamReader(redis, FLIGHTS, self._landings).running():
                yield
        finally:
            await redis.aclose()

    async def take(self, name: str, owner: str) -> tuple[str, float]:
        """Return who may do this work, the owner itself if it was free, and for how many seconds.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis:
            answer = await _TAKE.run(
                redis, keys=[_lock(name)], args=[owner, int(self.deadline_seconds * 1000)]
            )
        holder, milliseconds = cast("tuple[bytes, int]", answer)
        return holder.decode("ascii"), max(milliseconds, 1) / 1000

    async def claim(self, name: str, *, seconds: int) -> bool:
        """Tell whether this may be done now: nobody else is told so for so many seconds.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis:
            return bool(await redis.set(_lock(name), b"1", nx=True, ex=seconds))

    async def land(self, landing: Landing) -> None:
        """Free the lock and wake whoever waits. If that fails they wait until the deadline."""
        entry = [part for field in landing.to_fields().items() for part in field]
        try:
            async with self._redis.use() as redis:
                await _LAND.run(
                    redis, keys=[_lock(landing.flight), FLIGHTS], args=[landing.owner, STREAM_LENGTH, *entry]
                )
        except TemporarilyUnavailable as error:
            logger.warning("a landing could not be announced: %s", error)

    async def landed(self, name: str, holder: str, *, seconds: float) -> Landing | None:
        """Return how the holder's work ended, or `None` when it is time to look again."""
        return await self._landings.wait(name, holder, seconds=seconds)


class Flights(Generic[T]):
    """Work whose result is kept where every replica finds it."""

    def __init__(self, locks: ReplicaLocks) -> None:
        self._locks = locks
        self._here = SingleFlight[str, T]()

    async def run(
        self, name: str, recall: Callable[[], Awaitable[T | None]], work: Callable[[], Awaitable[T]]
    ) -> T:
        """Return what is remembered; else what `work` gives, here or at another replica.

        Args:
            name: what must be equal for two pieces of work to be one.
            recall: returns what an earlier piece of work left, or `None`.
            work: does it, and leaves its result where `recall` finds it. Its refusals are everybody's.

        Raises:
            OAuthError: as `work` or `recall` did, be it elsewhere.
        """
        digest = fingerprint(name)
        return await self._here.run(digest, lambda: self._fly(digest, recall, work))

    async def _fly(
        self, name: str, recall: Callable[[], Awaitable[T | None]], work: Callable[[], Awaitable[T]]
    ) -> T:
        owner = secrets.token_urlsafe(12)
        try:
            async with asyncio.timeout(PATIENCE * self._locks.deadline_seconds):
                while True:
                    remembered = await recall()
                    if remembered is not None:
                        return remembered
                    holder, seconds = await self._locks.take(name, owner)
                    if holder == owner:
                        return await self._lead(name, owner, recall, work)
                    landing = await self._locks.landed(name, holder, seconds=seconds)
                    if landing is not None and landing.error is not None:
                        raise landing.error
        except TimeoutError:
            raise TemporarilyUnavailable(reason="nobody finished what everybody waited for") from None

    async def _lead(
        self,
        name: str,
        owner: str,
        recall: Callable[[], Awaitable[T | None]],
        work: Callable[[], Awaitable[T]],
    ) -> T:
        landing = Landing(name, owner, finished=False)
        try:
            # Somebody may have landed between our look and our lock.
            remembered = await recall()
            result = await work() if remembered is None else remembered
            landing = Landing(name, owner)
        except OAuthError as error:
            landing = Landing(name, owner, error)
            raise
        finally:
            await self._locks.land(landing)
        return result


def _lock(name: str) -> str:
    return f"{{{FLIGHTS}}}:{name}"
