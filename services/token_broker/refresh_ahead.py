"""Exchanged tokens are replaced shortly before they end, while the old one still serves (docs/adr/0030).

Only within a request that presents the subject token: nothing that could be used is kept for it. The request
itself waits for nothing; what it has started goes on beside it, with the token in memory alone, and ends with
the process.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal

from opentelemetry import metrics

from authcore.clock import Clock
from authcore.errors import OAuthError
from token_broker.sealing import fingerprint
from token_broker.single_flight import ReplicaLocks

logger = logging.getLogger(__name__)

MAX_RUNNING: Final = 32
MAX_REMEMBERED: Final = 10_000

Result = Literal["refreshed", "failed", "skipped"]


class RefreshAhead:
    """Starts one refresh for each token that is about to end, whichever replica sees it first."""

    def __init__(
        self,
        locks: ReplicaLocks,
        *,
        ahead_seconds: int,
        leeway_seconds: int,
        deadline_seconds: float,
        now: Clock,
    ) -> None:
        """Prepare.

        Args:
            locks: shared by all replicas.
            ahead_seconds: how long before its end a token may be replaced; 0 is never.
            leeway_seconds: a token is not served in its last seconds.
            deadline_seconds: how long one refresh may take.
            now: the clock.
        """
        self._locks = locks
        self._ahead_seconds = ahead_seconds
        self._leeway_seconds = leeway_seconds
        self._deadline_seconds = deadline_seconds
        self._now = now
        self._tried: OrderedDict[str, int] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._counter = metrics.get_meter("token_broker").create_counter(
            "delegant.token.refreshes",
            description="Exchanged tokens that were to be replaced before their end",
        )

    def is_due(self, name: str, *, issued_at: int | None, expires_at: int, subject_expires_at: int) -> bool:
        """Tell whether a token is about to end, and another one would live longer."""
        ahead = self._ahead(name, None if issued_at is None else expires_at - issued_at)
        left = expires_at - self._leeway_seconds - self._now()
        return 0 < left <= ahead and subject_expires_at - expires_at > ahead

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do the work beside the request, unless somebody has just tried. Nobody hears of its failure."""
        digest, now = fingerprint(name), self._now()
        if self._tried.get(digest, 0) > now:
            return
        if len(self._running) >= MAX_RUNNING:
            self._count("skipped")
            return
        self._tried[digest] = now + self._ahead_seconds
        self._tried.move_to_end(digest)
        if len(self._tried) > MAX_REMEMBERED:
            self._tried.popitem(last=False)
        task = asyncio.create_task(self._refresh(digest, work), name="refresh ahead")
        self._running.add(task)
        task.add_done_callback(self._ended)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """End what is still under way when the context closes."""
        try:
            yield
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a refresh ahead of the end has failed", exc_info=task.exception())

    def _ahead(self, name: str, life_seconds: int | None) -> float:
        # Tokens that were issued together do not end together; and a short life is not all refreshing.
        spread = 0.5 + fingerprint(name).encode("ascii")[0] % 32 / 64
        longest = self._ahead_seconds if life_seconds is None else min(self._ahead_seconds, life_seconds / 4)
        return longest * spread

    async def _refresh(self, digest: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                if await self._locks.claim(f"ahead:{digest}", seconds=self._ahead_seconds):
                    await work()
                    self._count("refreshed")
        except (OAuthError, TimeoutError) as error:
            self._count("failed")
            logger.warning("a token could not be replaced ahead of its end: %s", error or "no answer in time")

    def _count(self, result: Result) -> None:
        self._counter.add(1, {"result": result})
