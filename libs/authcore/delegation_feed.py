"""What one process has heard of revoked delegations, and whether it may rely on having heard of all.

What a process remembers of a delegation is safe only while it hears the stream: a revocation that does not
reach it would leave a dead token alive in its memory. Hence three questions for the owner of a memory:

- `hearing`: may memory be used at all just now?
- `is_revoked`: is this delegation over?
- `may_keep`: may what was asked for at the moment of `ticket` still be remembered, or did the revocation
  overtake the answer?
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry import metrics

from authcore.clock import Milliseconds, Monotonic, monotonic, system_milliseconds
from authcore.events import DELEGATIONS, DelegationRevoked, event_from_fields
from authcore.redis_client import NO_FILES, READER_TIMEOUT_SECONDS, connect
from authcore.redis_url import TlsFiles
from authcore.stream_reader import StreamReader

logger = logging.getLogger(__name__)

MAX_REMEMBERED: Final = 65_536
"""Revoked delegations that are known by name. Of older ones only that they were is remembered."""

Ticket = int
"""A place in the sequence of what was heard."""


class DelegationFeed:
    """Listens to the stream of delegations on behalf of the memories of one process."""

    def __init__(
        self,
        *,
        deaf_after_seconds: float,
        clock: Monotonic = monotonic,
        now: Milliseconds = system_milliseconds,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._deaf_after_seconds = deaf_after_seconds
        self._clock = clock
        self._now = now
        self._max_remembered = max_remembered
        self._heard_at = float("-inf")
        self._was_hearing = False
        self._heard: Ticket = 0
        self._forgotten: Ticket = 0
        self._revoked: dict[str, Ticket] = {}
        self._on_revoked: list[Callable[[str], None]] = []
        self._on_gap: list[Callable[[], None]] = []
        self._lag = metrics.get_meter("authcore").create_histogram(
            "delegant.revocation.lag", "s", "From a revocation to its arrival in this process"
        )

    @property
    def hearing(self) -> bool:
        """Whether all that was announced until a moment ago has arrived. If not, memory must not be used."""
        hearing = self._clock() - self._heard_at < self._deaf_after_seconds
        if hearing != self._was_hearing:
            self._was_hearing = hearing
            level = logging.INFO if hearing else logging.WARNING
            logger.log(level, "revocations are %s", "heard" if hearing else "not heard: memory is not used")
        return hearing

    @property
    def ticket(self) -> Ticket:
        """The present place in the sequence: take one before asking somebody about a token."""
        return self._heard

    def is_revoked(self, delegation: str | None) -> bool:
        """Tell whether the delegation's end was heard."""
        return delegation in self._revoked

    def may_keep(self, delegation: str, since: Ticket) -> bool:
        """Tell whether an answer that was asked for at `since` may be remembered."""
        return since >= self._forgotten and delegation not in self._revoked

    def tell(self, *, on_revoked: Callable[[str], None], on_gap: Callable[[], None]) -> None:
        """Have a memory told what to drop: one delegation, or everything."""
        self._on_revoked.append(on_revoked)
        self._on_gap.append(on_gap)

    @asynccontextmanager
    async def listening(self, redis_url: str, *, tls: TlsFiles = NO_FILES) -> AsyncGenerator[None]:
        """Listen while the context is open, over a connection of its own: a blocked one serves nobody."""
        redis = connect(redis_url, tls=tls, timeout_seconds=READER_TIMEOUT_SECONDS, max_connections=1)
        try:
            async with StreamReader(redis, DELEGATIONS, self, clock=self._clock).running():
                yield
        finally:
            await redis.aclose()

    def on_entry(self, fields: Mapping[bytes, bytes]) -> None:
        """Take note of one event."""
        try:
            event = event_from_fields(fields)
        except ValueError:
            logger.warning("an announcement cannot be read: everything remembered is dropped")
            self.on_gap()
            return
        if isinstance(event, DelegationRevoked):
            self._end(event.delegation)
            self._lag.record(max(self._now() - event.at, 0) / 1000)

    def on_gap(self) -> None:
        """Drop everything: a revocation may have been missed."""
        self._heard += 1
        self._forgotten = self._heard
        for drop_all in self._on_gap:
            drop_all()

    def on_caught_up(self, at: float) -> None:
        """Note that nothing announced before `at` is missing."""
        self._heard_at = at

    def _end(self, delegation: str) -> None:
        self._heard += 1
        self._revoked[delegation] = self._heard
        if len(self._revoked) > self._max_remembered:
            oldest = next(iter(self._revoked))
            # An answer asked for before that and not here yet may be about the one that is forgotten now.
            self._forgotten = max(self._forgotten, self._revoked.pop(oldest))
        for drop in self._on_revoked:
            drop(delegation)
