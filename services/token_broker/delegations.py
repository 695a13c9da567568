"""What Redis knows of a delegation: one hash that one `UNLINK` ends, and a tombstone that keeps it ended.

| key | holds |
|---|---|
| `{d:<id>}:tokens` | `<fingerprint>|phantom`, `<fingerprint>|<audience>|<scopes>` → sealed JWT; facts |
| `{d:<id>}:revoked` | tombstone: nothing may be stored for this delegation |
| `{p:<fingerprint>}` | the delegation of the subject token with this fingerprint |

Facts are `source`, `client`, `user` (a keyed hash), `created` and `used`: they have no `|` in their names.
Keys of one delegation share a hash tag, so the scripts work on a Redis Cluster as well.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

from authcore.claims import VerifiedToken, format_scope
from authcore.clock import Clock
from authcore.key_ring import base64url
from authcore.redis_client import BoundedRedis, Script
from token_broker.delegation_index import DelegationIndex, Holder
from token_broker.sealing import Place, Sealer, UnopenableValue, fingerprint

logger = logging.getLogger(__name__)

Source = Literal["claim", "jti", "token"]
CacheResult = Literal["hit", "miss", "error"]

PHANTOM: Final = "phantom"
"""The entry of the JWT that stands for the subject token itself."""

USE_NOTED_SECONDS: Final = 60
"""How exactly it is known when a delegation was last used: a write for each use would be too many."""

_PLAIN_ID = re.compile(r"[A-Za-z0-9._~@/+=-]{1,128}")
_TAG = re.compile(r"[A-Za-z0-9._~@/+=-]{1,128}|sha256:[A-Za-z0-9_-]{43}")

_STORE: Final = Script("""
-- KEYS: hash, tombstone. ARGV: now, until, source, field, value, and perhaps client and user.
-- Returns 0 if the delegation is revoked.
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
redis.call('HSETNX', KEYS[1], 'created', ARGV[1])
redis.call('HSETNX', KEYS[1], 'used', ARGV[1])
if ARGV[6] then redis.call('HSET', KEYS[1], 'client', ARGV[6], 'user', ARGV[7]) end
if life > left then redis.call('EXPIRE', KEYS[1], life) end
return 1
""")

_LOOK: Final = Script("""
-- KEYS: hash, tombstone. ARGV: field, now, how exactly use is noted. Returns the value, and 1 if revoked.
local value = redis.call('HGET', KEYS[1], ARGV[1])
if value then
  local used = redis.call('HGET', KEYS[1], 'used')
  -- pcall: a Redis that cannot be written to can still be read.
  if ARGV[2] - (used or 0) >= tonumber(ARGV[3]) then redis.pcall('HSET', KEYS[1], 'used', ARGV[2]) end
end
return {value, redis.call('EXISTS', KEYS[2])}
""")

_REVOKE: Final = Script("""
-- KEYS: hash, tombstone. ARGV: life of the tombstone. Returns 1 if there was something to forget, and whose.
redis.call('SET', KEYS[2], '1', 'EX', ARGV[1])
local holder = redis.call('HMGET', KEYS[1], 'client', 'user')
return {redis.call('UNLINK', KEYS[1]), holder[1], holder[2]}
""")


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
class Dropped:
    """What a revocation has ended."""

    holder: Holder | None
    """Whom it was for, if that was known."""


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis knows of a subject token."""

    tag: str
    revoked: bool
    phantom: str | None


def delegation_of(subject: VerifiedToken, token: str) -> Delegation:
    """Return the delegation of a subject token: by its claim, else its `jti`, else a hash of the token.

    Never by subject, client and scope: such a name would survive revocation. Nor by anything that depends
    on the ring: a rotation would give a revoked delegation a new name, and so a new life.
    """
    if subject.delegation_id is not None:
        return Delegation(tag_of(subject.delegation_id), "claim")
    if subject.token_id is not None:
        return Delegation(tag_of(subject.token_id), "jti")
    return nameless_delegation(token)


def nameless_delegation(token: str) -> Delegation:
    """Return the delegation of a token that comes with no name: it is the token's alone."""
    # The colon makes it no plain id, so the token itself never stands in a key.
    return Delegation(tag_of("token:" + token), "token")


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


def exchanged(audience: str, scope: frozenset[str], actor: str | None = None) -> str:
    """Return the entry of a token exchanged for this audience and these scopes, and for one actor if any."""
    # No scope has a line break in it, so the entries of two actors cannot be one.
    return f"{audience}|{format_scope(scope)}" + ("" if actor is None else f"\n{actor}")


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
        replicas: int = 0,
    ) -> None:
        """Keep tokens in this Redis.

        Args:
            redis: the connection.
            sealer: seals and opens.
            now: the clock.
            leeway_seconds: a token is not kept in its last seconds.
            tombstone_seconds: longer than any subject token lives.
            count: hears of every look-up.
            replicas: how many of Redis' replicas must have a revocation before it counts as done.
        """
        self._redis = redis
        self._sealer = sealer
        self._now = now
        self._leeway_seconds = leeway_seconds
        self._tombstone_seconds = tombstone_seconds
        self._count = count
        self._replicas = replicas
        self._index = DelegationIndex(redis)

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
            answer = await _LOOK.run(
                redis,
                keys=[place.key, _tombstone(tag)],
                args=[place.field, self._now(), USE_NOTED_SECONDS],
            )
        value, revoked = cast("tuple[bytes | None, int]", answer)
        return Found(tag, revoked != 0, self._open(value, token, place))

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
        whose: VerifiedToken | None = None,
    ) -> None:
        """Keep a JWT for whoever presents the subject token; on return the delegation was not revoked.

        If it is said whose it is, as with the first entry of a subject token, operators find the delegation.

        Raises:
            AlreadyRevoked: it is.
            TemporarilyUnavailable: Redis could not say.
        """
        now = self._now()
        # Nothing is kept for longer than a tombstone would stand.
        until = min(expires_at - self._leeway_seconds, subject_expires_at, now + self._tombstone_seconds)
        place = Place(delegation.tokens, _field(token, entry))
        sealed = self._sealer.seal(jwt, token=token, place=place, until=max(until, 0))
        facts: tuple[str, ...] = ()
        if whose is not None and until > now:
            holder = _holder(whose, self._sealer)
            facts = holder.client, holder.user
            # First: what is listed and not there is taken off the list, but what is there must be listed.
            await self._index.add(delegation.tag, holder, now=now, until=until)
        async with self._redis.use() as redis:
            stored = await _STORE.run(
                redis,
                keys=[place.key, _tombstone(delegation.tag)],
                args=[now, until, delegation.source, place.field, sealed, *facts],
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

    async def unlist(self, tag: str, holder: Holder) -> None:
        """Let operators no longer find a delegation.

        Raises:
            TemporarilyUnavailable: Redis could not do it.
        """
        await self._index.forget(tag, holder)

    async def revoke(self, tag: str) -> Dropped | None:
        """End a delegation: drop all its tokens, if there are any, and let none be stored again.

        Raises:
            TemporarilyUnavailable: Redis could not do it; the delegation may not be revoked.
        """
        async with self._redis.use() as redis:
            answer = await _REVOKE.run_replicated(
                redis,
                keys=[f"{{d:{tag}}}:tokens", _tombstone(tag)],
                args=[self._tombstone_seconds],
                replicas=self._replicas,
            )
        dropped, client, user = cast("tuple[int, bytes | None, bytes | None]", answer)
        if dropped == 0:
            return None
        if client is None or user is None:
            return Dropped(None)
        return Dropped(Holder(client.decode("utf-8", "replace"), user.decode("ascii", "replace")))

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


def _holder(token: VerifiedToken, sealer: Sealer) -> Holder:
    # Whatever a claim may hold, it goes into Redis and comes out again.
    client = (token.client_id or "").encode("ascii", "backslashreplace").decode("ascii")
    return Holder(client, sealer.user(token.subject))


def _tombstone(tag: str) -> str:
    return f"{{d:{tag}}}:revoked"


def _pointer(token: str) -> str:
    return f"{{p:{fingerprint(token)}}}"


def _field(token: str, entry: str) -> str:
    return f"{fingerprint(token)}|{entry}"


def _text(value: object) -> str | None:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None
