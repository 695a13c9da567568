"""What operators see of delegations: who may do what until when. Never a token, nor who the user is."""

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from authcore.clock import Clock
from authcore.errors import InvalidRequest
from authcore.key_ring import base64url
from authcore.redis_client import BoundedRedis
from token_broker.delegation_index import ALL, DelegationIndex, Position, of_client, of_user
from token_broker.delegations import PHANTOM
from token_broker.sealing import readable_until

EXAMINED_AT_ONCE: Final = 100
MAX_EXAMINED: Final = 1000
"""Delegations that one request looks at: a filter that matches few gives short pages, not slow ones."""

_USER = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class KeptToken:
    """An exchanged token in the cache: for whom, to do what, until when. Not the token."""

    audience: str
    scope: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class ListedDelegation:
    """A delegation as operators see it. Times are in seconds since 1970."""

    tag: str
    user: str
    client: str
    tokens: tuple[KeptToken, ...]
    created_at: int
    used_at: int
    expires_at: int
    """When the last of its tokens is no longer given out."""

    @property
    def audiences(self) -> frozenset[str]:
        """For whom there are exchanged tokens."""
        return frozenset(token.audience for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is wanted; `None` is everything."""

    client: str | None = None
    user: str | None = None
    audience: str | None = None

    @property
    def index(self) -> str:
        """The key of the shortest list that holds all that is wanted."""
        if self.user is not None:
            return of_user(self.user)
        return ALL if self.client is None else of_client(self.client)

    def admits(self, delegation: ListedDelegation) -> bool:
        """Tell whether a delegation is wanted."""
        return (
            self.client in (None, delegation.client)
            and self.user in (None, delegation.user)
            and (self.audience is None or self.audience in delegation.audiences)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Delegations in the order in which they expire, and where the next page begins, if there is one."""

    delegations: tuple[ListedDelegation, ...]
    cursor: str | None


class DelegationList:
    """Reads delegations for operators."""

    def __init__(self, redis: BoundedRedis, *, now: Clock) -> None:
        self._redis = redis
        self._index = DelegationIndex(redis)
        self._now = now

    async def page(self, wanted: Filter, *, cursor: str | None, limit: int) -> Page:
        """Return the next delegations; with a cursor, those behind the page that gave it.

        Raises:
            InvalidRequest: the cursor is not one of ours, or the user no hash of ours.
            TemporarilyUnavailable: Redis could not say.
        """
        if wanted.user is not None and not _USER.fullmatch(wanted.user):
            raise InvalidRequest("`user` is not a user's hash as it is listed")
        after = Position(self._now(), "") if cursor is None else _position(cursor)
        found: list[ListedDelegation] = []
        for _ in range(MAX_EXAMINED // EXAMINED_AT_ONCE):
            entries = await self._index.page(wanted.index, after, size=EXAMINED_AT_ONCE)
            for entry, delegation in zip(entries, await self._described(wanted.index, entries), strict=True):
                if delegation is not None and wanted.admits(delegation):
                    if len(found) == limit:
                        return Page(tuple(found), _cursor(after))
                    found.append(delegation)
                after = entry
            if len(entries) < EXAMINED_AT_ONCE:
                return Page(tuple(found), None)
        return Page(tuple(found), _cursor(after))

    async def find(self, tag: str) -> ListedDelegation | None:
        """Return one delegation, or nothing if it is not known, or no longer.

        Raises:
            TemporarilyUnavailable: Redis could not say.
        """
        (delegation,) = await self._read([tag])
        return delegation

    async def _described(self, index: str, entries: list[Position]) -> list[ListedDelegation | None]:
        described = await self._read([entry.tag for entry in entries])
        missing = [entry.tag for entry, found in zip(entries, described, strict=True) if found is None]
        # One without a tombstone is perhaps about to be there.
        revoked = [tag for tag, ended in zip(missing, await self._revoked(missing), strict=True) if ended]
        if revoked:
            await self._index.drop(index, revoked)
        return described

    async def _revoked(self, tags: list[str]) -> list[bool]:
        if not tags:
            return []
        async with self._redis.use() as redis, redis.pipeline(transaction=False) as pipe:
            for tag in tags:
                pipe.exists(f"{{d:{tag}}}:revoked")
            return [answer == 1 for answer in await pipe.execute()]

    async def _read(self, tags: list[str]) -> list[ListedDelegation | None]:
        if not tags:
            return []
        async with self._redis.use() as redis, redis.pipeline(transaction=False) as pipe:
            for tag in tags:
                pipe.hgetall(f"{{d:{tag}}}:tokens")
            answers = cast("list[Mapping[bytes, bytes]]", await pipe.execute())
        return [_described(tag, fields, self._now()) for tag, fields in zip(tags, answers, strict=True)]


def _described(tag: str, fields: Mapping[bytes, bytes], now: int) -> ListedDelegation | None:
    """Return what the fields say, or nothing if there is no token left that could be used."""
    facts: dict[str, str] = {}
    lives: dict[str, int] = {}
    for name, value in fields.items():
        # Of several subject tokens each has entries of its own.
        _, separator, entry = name.decode("ascii", "replace").partition("|")
        if not separator:
            facts[name.decode("ascii", "replace")] = value.decode("ascii", "replace")
        elif (readable_until(value) or 0) > now:
            lives[entry] = max(readable_until(value) or 0, lives.get(entry, 0))
    if not lives:
        return None
    return ListedDelegation(
        tag=tag,
        user=facts.get("user", ""),
        client=facts.get("client", ""),
        tokens=tuple(_kept(entry, until) for entry, until in sorted(lives.items()) if entry != PHANTOM),
        created_at=_number(facts.get("created")),
        used_at=_number(facts.get("used")),
        expires_at=max(lives.values()),
    )


def _kept(entry: str, until: int) -> KeptToken:
    audience, _, scope = entry.partition("\n")[0].partition("|")
    return KeptToken(audience, scope, until)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def _cursor(position: Position) -> str:
    return base64url(f"{position.expires_at}|{position.tag}".encode("ascii"))


def _position(cursor: str) -> Position:
    try:
        moment, _, tag = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition("|")
        if len(moment) > 12 or not moment.isdigit():
            raise ValueError
        return Position(int(moment), tag)
    except (Base64Error, ValueError):
        raise InvalidRequest("`cursor` is not one that an earlier page gave") from None
