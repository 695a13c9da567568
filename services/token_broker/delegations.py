"""What Redis knows of a delegation: one hash that one `UNLINK` ends, and a tombstone that keeps it ended.

| key | holds |
|---|---|
| `{d:<id>}:tokens` | `<fingerprint>|phantom`, `<fingerprint>|<audience>|<scopes>` → sealed JWT; `source` |
| `{d:<id>}:revoked` | tombstone: nothing may be stored for this delegation |
| `{p:<fingerprint>}` | the delegation of the subject token with this fingerprint |

Keys of one delegation share a hash tag, so the scripts work on a Redis Cluster as well.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from redis.asyncio import Redis

from authcore.claims import VerifiedToken, format_scope
from authcore.clock import Clock
from authcore.redis_client import BoundedRedis
from token_broker.sealing import Place, Sealer, UnopenableValue, base64url, fingerprint

logger = logging.getLogger(__name__)

Source = Literal["claim", "jti", "token"]
CacheResult = Literal["hit", "miss", "error"]

PHANTOM: Final = "phantom"
"""The entry of the JWT that stands for the subject token itself."""

_PLAIN_ID = re.compile(r"[A-Za-z0-9._~@/+=-]{1,128}")
_TAG = re.compile(r"[A-Za-z0-9._~@/+=-]{1,128}|sha256:[A-Za-z0-9_-]{43}")

_STORE: Final = """
-- KEYS: hash, tombstone. ARGV: now, until, source, field, value. Returns 0 if the delegation is revoked.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local now, life = tonumber(ARGV[1]), tonumber(ARGV[2]) - tonumber(ARGV[1])
if life <= 0 then return 1 end
if redis.call('HLEN', KEYS[1]) >= 32 then
  -- A long delegation sees many tokens: without this its hash would only ever grow.
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local til = string.match(all[i + 1], '^v1%.%x+%.(%d+)%.')
    if til and tonumber(til) <= now then redis.call('HDEL', KEYS[1], all[i]) end
  end
end
local left = redis.call('TTL', KEYS[1])
redis.call('HSET', KEYS[1], 'source', ARGV[3], ARGV[4], ARGV[5])
if life > left then redis.call('EXPIRE', KEYS[1], life) end
return 1
"""

_REVOKE: Final = """
-- KEYS: hash, tombstone. ARGV: life of the tombstone. Returns 1 if there was something to forget.
redis.call('SET', KEYS[2], '1', 'EX', ARGV[1])
return redis.call('UNLINK', KEYS[1])
"""


class AlreadyRevoked(Exception):
    """The delegation was revoked: its tokens may be neither kept nor given out."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """Which delegation a token belongs to, by a name that is safe in a key."""

    tag: str
    source: Source

    @property
    def tokens(self) -> str:
        """The key of the hash."""
        return f"{{d:{self.tag}}}:tokens"


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis knows of a subject token."""

    tag: str
    revoked: bool
    phantom: str | None


def delegation_of(subject: VerifiedToken, token: str, sealer: Sealer) -> Delegation:
    """Return the delegation of a subject token: by its claim, else its `jti`, else a keyed hash of the token.

    Never by subject, client and scope: such a name would survive revocation.
    """
    if subject.delegation_id is not None:
        return Delegation(tag_of(subject.delegation_id), "claim")
    if subject.token_id is not None:
        return Delegation(tag_of(subject.token_id), "jti")
    return Delegation(sealer.name(token), "token")


def tag_of(delegation_id: str) -> str:
    """Return the id as it stands in key names.

    Ids come from elsewhere: one with braces or of great length must not get to shape a key, so it is hashed.
    """
    if _PLAIN_ID.fullmatch(delegation_id):
        return delegation_id
    return "sha256:" + base64url(hashlib.sha256(delegation_id.encode("utf-8", "surrogatepass")).digest())


def tag_named(name: str) -> str:
    """Return the tag that an operator means: a tag itself, as it is listed, or the id of a delegation."""
    return name if _TAG.fullmatch(name) else tag_of(name)


def exchanged(audience: str, scope: frozenset[str]) -> str:
    """Return the entry of a token exchanged for this audience and these scopes."""
    return f"{audience}|{format_scope(scope)}"


class DelegationStore:
    """Keeps sealed tokens no longer than they live, and not at all once their delegation is revoked."""

    def __init__(
        self,
        redis: BoundedRedis,
        sealer: Sealer,
        *,
        now: Clock,
        leeway_seconds: int,
        tombstone_seconds: int,
        count: Callable[[CacheResult], None],
    ) -> None:
        """Prepare the scripts.

        Args:
            redis: the connection.
            sealer: seals and opens.
            now: the clock.
            leeway_seconds: a token is not kept in its last seconds.
            tombstone_seconds: longer than any subject token lives.
            count: hears of every look-up.
        """
        self._redis = redis
        self._sealer = sealer
        self._now = now
        self._leeway_seconds = leeway_seconds
        self._tombstone_seconds = tombstone_seconds
        self._count = count
        self._store = redis.client.register_script(_STORE)
        self._revoke = redis.client.register_script(_REVOKE)

    async def find(self, token: str) -> Found | None:
        """Return what is known of a subject token, in two round trips.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        async with self._redis.use() as redis:
            tag = _text(await redis.get(_pointer(token)))
            if tag is None or not _TAG.fullmatch(tag):
                self._count("miss")
                return None
            place = Place(f"{{d:{tag}}}:tokens", _field(token, PHANTOM))
            value, revoked = await _hget_and_exists(redis, place, f"{{d:{tag}}}:revoked")
        return Found(tag, revoked, self._open(value, token, place))

    async def read(self, delegation: Delegation, token: str, entry: str) -> str | None:
        """Return the JWT kept under this entry for this subject token, if it may still be used.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        place = Place(delegation.tokens, _field(token, entry))
        async with self._redis.use() as redis:
            value = await redis.hget(place.key, place.field)
        return self._open(value, token, place)

    async def write(
        self,
        delegation: Delegation,
        token: str,
        entry: str,
        jwt: str,
        *,
        expires_at: int,
        subject_expires_at: int,
    ) -> None:
        """Keep a JWT for the holder of a subject token; on return the delegation was not revoked.

        Raises:
            AlreadyRevoked: it is.
            TemporarilyUnavailable: Redis could not say.
        """
        now = self._now()
        # Nothing is kept for longer than a tombstone would stand.
        until = min(expires_at - self._leeway_seconds, subject_expires_at, now + self._tombstone_seconds)
        place = Place(delegation.tokens, _field(token, entry))
        sealed = self._sealer.seal(jwt, token=token, place=place, until=max(until, 0))
        async with self._redis.use() as redis:
            stored = await self._store(
                keys=[place.key, f"{{d:{delegation.tag}}}:revoked"],
                args=[now, until, delegation.source, place.field, sealed],
            )
            if stored != 1:
                raise AlreadyRevoked
            if entry == PHANTOM and until > now:
                await redis.set(_pointer(token), delegation.tag, ex=until - now)

    async def forget(self, token: str) -> None:
        """Make a subject token unknown: the next to present it is told by the authorization server.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        async with self._redis.use() as redis:
            await redis.unlink(_pointer(token))

    async def revoke(self, tag: str) -> bool:
        """End a delegation: drop all its tokens and let none be stored again. Tell whether there were any.

        Raises:
            TemporarilyUnavailable: Redis could not do it; the delegation may not be revoked.
        """
        async with self._redis.use():
            dropped = await self._revoke(
                keys=[f"{{d:{tag}}}:tokens", f"{{d:{tag}}}:revoked"], args=[self._tombstone_seconds]
            )
        return dropped == 1

    def _open(self, value: object, token: str, place: Place) -> str | None:
        if not isinstance(value, bytes):
            self._count("miss")
            return None
        try:
            opened = self._sealer.open(value, token=token, place=place)
        except UnopenableValue as error:
            logger.warning("a cached token was ignored: %s", error)
            self._count("error")
            return None
        if opened.until <= self._now():
            self._count("miss")
            return None
        self._count("hit")
        return opened.plaintext


async def _hget_and_exists(redis: Redis, place: Place, key: str) -> tuple[object, bool]:
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hget(place.key, place.field)
        pipe.exists(key)
        answers = await pipe.execute()
    return answers[0], answers[1] != 0


def _pointer(token: str) -> str:
    return f"{{p:{fingerprint(token)}}}"


def _field(token: str, entry: str) -> str:
    return f"{fingerprint(token)}|{entry}"


def _text(value: object) -> str | None:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None
