"""Which of several tickers publishes: a lease in Redis, and a token that fences off whoever held it before.

| key | holds | lives |
|---|---|---|
| `{ticker}:lease` | the token of the holder | until it is released, or was not renewed in time |
| `{ticker}:fence` | the last token | for ever |
"""

from typing import Final, cast

from authcore.redis_client import BoundedRedis, Script

LEASE: Final = "{ticker}:lease"
FENCE: Final = "{ticker}:fence"

_ACQUIRE: Final = Script("""
-- KEYS: lease, fence. ARGV: life in milliseconds. Returns the new holder's token, or 0 if somebody holds it.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
-- By the clock rather than by counting: tokens grow even if Redis has lost the last one.
local time = redis.call('TIME')
local token = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
if token <= last then token = last + 1 end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return token
""")

_RENEW: Final = Script("""
-- KEYS: lease. ARGV: token, life in milliseconds. Returns 0 if it is somebody else's, or nobody's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

_RELEASE: Final = Script("""
-- KEYS: lease. ARGV: token.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")


class Lease:
    """The right to publish, for as long as it is renewed."""

    def __init__(self, redis: BoundedRedis, *, seconds: float) -> None:
        self._redis = redis
        self._milliseconds = int(seconds * 1000)

    async def acquire(self) -> int | None:
        """Return the token of a new holder, greater than all before it; `None` while somebody else holds it.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis:
            token = await _ACQUIRE.run(redis, keys=[LEASE, FENCE], args=[self._milliseconds])
        return cast("int", token) or None

    async def renew(self, token: int) -> bool:
        """Hold it for another while; tell whether it was still ours.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis:
            renewed = await _RENEW.run(redis, keys=[LEASE], args=[token, self._milliseconds])
        return renewed == 1

    async def release(self, token: int) -> None:
        """Let the next one have it at once.

        Raises:
            TemporarilyUnavailable: Redis could not do it; the lease runs out by itself.
        """
        async with self._redis.use() as redis:
            await _RELEASE.run(redis, keys=[LEASE], args=[token])
