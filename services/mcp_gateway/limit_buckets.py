"""Buckets that fill up evenly (GCRA): in Redis for all replicas together, or in this process alone.

A bucket is one number: the moment at which it will be full again. It costs one small key that expires then.
"""

from collections import OrderedDict
from typing import Final, Protocol, cast

from authcore.clock import Monotonic
from authcore.redis_client import BoundedRedis, Script
from mcp_gateway.limits import Bucket, Granted

MAX_LOCAL_BUCKETS: Final = 10_000
"""Beyond these the one that was used least lately is forgotten, and so is full again."""

_TAKE: Final = Script("""
-- KEYS: bucket. ARGV: quota, window in milliseconds, calls wanted.
-- Returns calls granted, calls left, milliseconds until it is full, milliseconds until there is one again.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local window, each = tonumber(ARGV[2]), ARGV[2] / ARGV[1]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local available = math.floor((now + window - full) / each + 1e-6)
local granted = math.min(tonumber(ARGV[3]), available)
if granted > 0 then
  full = full + granted * each
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now))
end
local wait = 0
if granted == 0 then wait = math.ceil(full + each - window - now) end
return {granted, available - granted, math.ceil(full - now), wait}
""")


class Buckets(Protocol):
    """Where calls are taken from."""

    async def take(self, bucket: Bucket, wanted: int) -> Granted:
        """Return how many of the wanted calls there are; these are gone then.

        Raises:
            TemporarilyUnavailable: nobody could say.
        """
        ...


class SharedBuckets:
    """Buckets in Redis, by its own clock."""

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def take(self, bucket: Bucket, wanted: int) -> Granted:
        """Return how many of the wanted calls there are; these are gone then.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        limit = bucket.limit
        async with self._redis.use() as redis:
            answer = await _TAKE.run(
                redis, keys=[f"limit:{bucket.key}"], args=[limit.quota, limit.window_seconds * 1000, wanted]
            )
        granted, left, full, wait = cast("list[int]", answer)
        return Granted(granted, left, full / 1000, wait / 1000)


class LocalBuckets:
    """Buckets of this process."""

    def __init__(self, *, now: Monotonic) -> None:
        self._now = now
        self._full_at = OrderedDict[str, float]()

    async def take(self, bucket: Bucket, wanted: int) -> Granted:
        """Return how many of the wanted calls there are; these are gone then."""
        return self.take_now(bucket, wanted)

    def take_now(self, bucket: Bucket, wanted: int) -> Granted:
        """Return the same without waiting. Wanting none tells how many there are."""
        now, limit = self._now(), bucket.limit
        each = limit.window_seconds / limit.quota
        full = max(self._full_at.get(bucket.key, now), now)
        available = int((now + limit.window_seconds - full) / each + 1e-6)
        granted = min(wanted, available)
        if granted:
            full += granted * each
            self._full_at[bucket.key] = full
            self._full_at.move_to_end(bucket.key)
            if len(self._full_at) > MAX_LOCAL_BUCKETS:
                self._full_at.popitem(last=False)
        wait = 0.0 if available >= 1 else full + each - limit.window_seconds - now
        return Granted(granted, available - granted, full - now, wait)
