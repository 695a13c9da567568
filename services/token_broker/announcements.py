"""Writing the stream of delegations: revocations that get there whatever crashes, and heartbeats.

A delegation's keys and the stream are in different slots of a Redis Cluster, so no script can end one and
announce it at once. Instead the intent is written down first, next to the stream; whoever sends heartbeats
finishes what was left unfinished (docs/adr/0013).

| key | holds |
|---|---|
| `delegations` | the stream |
| `{delegations}:pending` | sorted set: delegations whose revocation has begun, by when |
"""

from typing import Final, cast

from authcore.clock import Milliseconds
from authcore.events import DELEGATIONS, DelegationRevoked, Heartbeat
from authcore.redis_client import BoundedRedis, Script

PENDING: Final = f"{{{DELEGATIONS}}}:pending"
"""The hash tag is the stream's name: both are in one slot."""

STREAM_LENGTH: Final = 10_000
"""Entries kept, or a few more: hours of heartbeats. A reader that was away for longer drops everything."""

OVERDUE_MILLISECONDS: Final = 2_000
"""A revocation that has been under way for so long has lost whoever began it."""

_NOW: Final = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

_INTEND: Final = Script(
    _NOW
    + """
-- KEYS: pending. ARGV: delegation.
return redis.call('ZADD', KEYS[1], now(), ARGV[1])
"""
)

_ANNOUNCE: Final = Script("""
-- KEYS: stream, pending. ARGV: length of the stream, delegation, then the entry.
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 3))
return redis.call('ZREM', KEYS[2], ARGV[2])
""")

_BEAT: Final = Script(
    _NOW
    + """
-- KEYS: stream, pending. ARGV: length, greatest age of the last entry, of what is pending, then the entry.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last or now() - tonumber(string.match(last[1], '^%d+')) >= tonumber(ARGV[2]) then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 4))
end
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now() - ARGV[3], 'LIMIT', 0, 100)
"""
)


class Announcements:
    """What this replica says to all gateways and brokers."""

    def __init__(
        self, redis: BoundedRedis, *, now: Milliseconds, heartbeat_seconds: float, replicas: int = 0
    ) -> None:
        self._redis = redis
        self._now = now
        # A little less than the interval: else a single replica would find its own last one too young.
        self._quiet_milliseconds = int(heartbeat_seconds * 900)
        self._replicas = replicas

    async def intend(self, delegation: str) -> None:
        """Write down that this delegation is about to end: from here on it will, whoever crashes.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        async with self._redis.use() as redis:
            await _INTEND.run_replicated(redis, keys=[PENDING], args=[delegation], replicas=self._replicas)

    async def announce(self, delegation: str) -> None:
        """Tell everybody that this delegation has ended, and cross out the intent.

        Raises:
            TemporarilyUnavailable: Redis could not do it; somebody will do it later.
        """
        fields = DelegationRevoked(delegation, self._now()).to_fields()
        async with self._redis.use() as redis:
            await _ANNOUNCE.run(
                redis, keys=[DELEGATIONS, PENDING], args=[STREAM_LENGTH, delegation, *_flat(fields)]
            )

    async def beat(self) -> list[str]:
        """Send a heartbeat unless the stream is lively anyway; return revocations that nobody has finished.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        fields = Heartbeat(self._now()).to_fields()
        async with self._redis.use() as redis:
            overdue = await _BEAT.run(
                redis,
                keys=[DELEGATIONS, PENDING],
                args=[STREAM_LENGTH, self._quiet_milliseconds, OVERDUE_MILLISECONDS, *_flat(fields)],
            )
        return [delegation.decode("ascii") for delegation in cast("list[bytes]", overdue)]


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for field in fields.items() for part in field]
