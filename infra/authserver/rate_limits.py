"""How often somebody may ask, within this process: token buckets (429 with `Retry-After`, RFC 6585 §4)."""

from collections import OrderedDict
from math import ceil
from typing import Final

from starlette.requests import Request

from authcore.clock import Clock
from authcore.errors import OAuthError

MAX_BUCKETS: Final = 10_000
"""Beyond these the one that was used least lately is forgotten, and so starts full again."""


class TooManyRequests(OAuthError):
    """RFC 6585 §4."""

    error = "temporarily_unavailable"
    status = 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("Too many requests")
        self.retry_after_seconds = retry_after_seconds


class RateLimit:
    """A bucket for each name: a minute's requests at once, and then as many as flow back."""

    def __init__(self, per_minute: int, *, now: Clock) -> None:
        self._per_minute = per_minute
        self._now = now
        self._buckets = OrderedDict[str, tuple[float, int]]()

    def take(self, name: str) -> None:
        """Return if there is room for one more request under this name; with a limit of 0 there always is.

        Raises:
            TooManyRequests: there is none.
        """
        if self._per_minute == 0:
            return
        now, flow = self._now(), self._per_minute / 60
        left, since = self._buckets.get(name, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + max(0, now - since) * flow)
        if left < 1:
            raise TooManyRequests(ceil((1 - left) / flow))
        self._buckets[name] = (left - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)


def address_of(request: Request) -> str:
    """Return the name under which to count a caller that nobody has authenticated."""
    return "" if request.client is None else request.client.host
