"""What the gateway remembers of tokens: bounded, for a while, and never beyond their delegation.

With a feed of revocations an answer may be remembered for long: its end will be heard of. Without one, or if
nobody can say which delegation it belongs to, only for a moment. While the feed is deaf nothing is used.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from authcore.clock import Clock
from authcore.delegation_feed import DelegationFeed, Ticket

UNANNOUNCED_SECONDS: Final = 5
"""How long something is remembered whose revocation would not be heard of."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    value: V
    until: int
    delegation: str | None


class TokenMemory(Generic[K, V]):
    """The least recently used entry goes first when there are too many."""

    def __init__(
        self, *, max_entries: int, max_age_seconds: int, feed: DelegationFeed | None, now: Clock
    ) -> None:
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._of_delegation: defaultdict[str, set[K]] = defaultdict(set)
        self._max_entries = max_entries
        self._max_age = max_age_seconds
        self._feed = feed
        self._now = now
        if feed is not None:
            feed.tell(on_revoked=self._drop_delegation, on_gap=self._drop_all)

    def get(self, key: K) -> V | None:
        """Return the value, or `None` if there is none, its time is over, or memory cannot be relied upon."""
        if self._feed is not None and not self._feed.hearing:
            return None
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._now() >= entry.until:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def ticket(self) -> Ticket:
        """Return what `put` wants to know: when the answer was asked for. Take it before asking."""
        return 0 if self._feed is None else self._feed.ticket

    def put(self, key: K, value: V, *, expires_at: int, delegation: str | None, asked: Ticket) -> None:
        """Keep a value, unless its delegation has ended since it was asked for.

        Args:
            key: what it is found by.
            value: what is kept.
            expires_at: when it must be gone, in seconds since the epoch.
            delegation: whose end is its end; `None` if nobody could say.
            asked: the ticket taken before asking.
        """
        announced = self._feed is not None and delegation is not None
        if self._feed is not None and delegation and not self._feed.may_keep(delegation, asked):
            return
        self._drop(key)
        age = self._max_age if announced else min(self._max_age, UNANNOUNCED_SECONDS)
        self._entries[key] = _Entry(value, min(expires_at, self._now() + age), delegation)
        if delegation is not None:
            self._of_delegation[delegation].add(key)
        while len(self._entries) > self._max_entries:
            self._drop(next(iter(self._entries)))

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is None or entry.delegation is None:
            return
        siblings = self._of_delegation[entry.delegation]
        siblings.discard(key)
        if not siblings:
            del self._of_delegation[entry.delegation]

    def _drop_delegation(self, delegation: str) -> None:
        for key in self._of_delegation.pop(delegation, ()):
            del self._entries[key]

    def _drop_all(self) -> None:
        self._entries.clear()
        self._of_delegation.clear()
