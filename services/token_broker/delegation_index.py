"""Which delegations there are, for operators: ids in order of expiry, and nothing else (docs/adr/0028).

| key | holds |
|---|---|
| `{delegations}:all` | sorted set: id → when its last subject token expires |
| `{delegations}:client:<digest>`, `{delegations}:user:<hash>` | the same, of one client, of one user |

All are in one slot of a cluster, the stream's. An entry goes when its delegation is revoked, and at the
latest when it expires: whoever adds one drops those that have.
"""

from dataclasses import dataclass
from typing import Final, cast

from authcore.events import DELEGATIONS
from authcore.redis_client import BoundedRedis, Script
from token_broker.sealing import fingerprint

ALL: Final = f"{{{DELEGATIONS}}}:all"

_ADD: Final = Script("""
-- KEYS: sorted sets. ARGV: now, until, delegation.
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', ARGV[1])
  redis.call('ZADD', key, 'GT', ARGV[2], ARGV[3])
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  redis.call('EXPIRE', key, math.max(last[2] - ARGV[1], 1))
end
return 1
""")

_PAGE: Final = Script("""
-- KEYS: sorted set. ARGV: score and delegation that the last page ended with, how many. Returns pairs.
local found, offset = {}, 0
while #found < 2 * ARGV[3] do
  local part = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', offset, 250)
  if #part == 0 then break end
  for i = 1, #part, 2 do
    local later = tonumber(part[i + 1]) > tonumber(ARGV[1]) or part[i] > ARGV[2]
    if later and #found < 2 * ARGV[3] then
      table.insert(found, part[i])
      table.insert(found, part[i + 1])
    end
  end
  offset = offset + 250
end
return found
""")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a delegation is for, by names that operators may read."""

    client: str
    """The agent's client id."""
    user: str
    """A keyed hash: who does not have the key cannot tell whose it is."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the index: just behind this entry."""

    expires_at: int
    tag: str


class DelegationIndex:
    """Finds delegations page by page, all or those of one client or user."""

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis

    async def add(self, tag: str, holder: Holder, *, now: int, until: int) -> None:
        """List a delegation until it expires.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        async with self._redis.use() as redis:
            await _ADD.run(redis, keys=_keys(holder), args=[now, until, tag])

    async def forget(self, tag: str, holder: Holder) -> None:
        """List a delegation no longer.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        for key in _keys(holder):
            await self.drop(key, [tag])

    async def drop(self, key: str, tags: list[str]) -> None:
        """Take entries off one of the lists.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        async with self._redis.use() as redis:
            await redis.zrem(key, *tags)

    async def page(self, key: str, after: Position, *, size: int) -> list[Position]:
        """Return the next entries. Whatever is listed from the first page to the last is on one of them.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis:
            answer = await _PAGE.run(redis, keys=[key], args=[after.expires_at, after.tag, size])
        found = [part.decode("ascii") for part in cast("list[bytes]", answer)]
        return [Position(int(score), tag) for tag, score in zip(found[::2], found[1::2], strict=True)]


def of_client(client: str) -> str:
    """Return the key of the list of one client's delegations."""
    # A digest bounds the name: the client may have chosen what is in it.
    return f"{{{DELEGATIONS}}}:client:{fingerprint(client)}"


def of_user(user: str) -> str:
    """Return the key of the list of one user's delegations."""
    return f"{{{DELEGATIONS}}}:user:{user}"


def _keys(holder: Holder) -> list[str]:
    return [ALL, of_client(holder.client), of_user(holder.user)]
