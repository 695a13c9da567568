"""A bounded in-process cache whose entries die in time."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from authcore.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """The least recently used entry goes first when there are too many."""

    def __init__(self, *, max_entries: int, max_age_seconds: int, now: Clock) -> None:
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._max_entries = max_entries
        self._max_age = max_age_seconds
        self._now = now

    def get(self, key: K) -> V | None:
        """Return the value, or `None` if there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, until = entry
        if self._now() >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, *, expires_at: int) -> None:
        """Keep the value until `expires_at` (seconds since the epoch), or to its greatest age if sooner."""
        self._entries[key] = (value, min(expires_at, self._now() + self._max_age))
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
