"""What stands between the broker and an endpoint that misbehaves: a circuit breaker and a bulkhead.

After several failures in a row the endpoint is left alone for a while (open); then one request tries it
(half-open), and its outcome decides. However slow an endpoint is, only so many requests wait for it; those
to the other endpoint are not affected.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from authcore.clock import Monotonic, monotonic
from authcore.errors import TemporarilyUnavailable

logger = logging.getLogger(__name__)

FAILURES_TO_OPEN: Final = 5
OPEN_SECONDS: Final = 5.0
MAX_CONCURRENT: Final = 64


class Attempt:
    """One request under way. It counts as good unless it is said to have failed."""

    failed = False


class EndpointGuard:
    """Guards one endpoint."""

    def __init__(
        self, name: str, *, max_concurrent: int = MAX_CONCURRENT, clock: Monotonic = monotonic
    ) -> None:
        self._name = name
        self._clock = clock
        self._places = asyncio.Semaphore(max_concurrent)
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @asynccontextmanager
    async def attempt(self) -> AsyncGenerator[Attempt]:
        """Admit one request when there is a place for it; its outcome is taken note of.

        Raises:
            TemporarilyUnavailable: the endpoint is left alone for now.
        """
        async with self._places:
            probe = self._admit()
            attempt = Attempt()
            try:
                yield attempt
            except (TemporarilyUnavailable, TimeoutError, asyncio.CancelledError):
                # Cancelled is what a request is that took too long.
                attempt.failed = True
                raise
            finally:
                if probe:
                    self._probing = False
                self._note(attempt)

    def _admit(self) -> bool:
        """Tell whether this request is the probe of a half-open circuit."""
        if self._open_until is None:
            return False
        left = self._open_until - self._clock()
        if left > 0 or self._probing:
            raise TemporarilyUnavailable(
                "The authorization server could not answer",
                reason=f"{self._name} is left alone after {self._failures} failures",
                retry_after_seconds=max(1, round(left)),
            )
        self._probing = True
        return True

    def _note(self, attempt: Attempt) -> None:
        if not attempt.failed:
            if self._open_until is not None:
                logger.info("%s answers again", self._name)
            self._failures, self._open_until = 0, None
            return
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            logger.warning("%s failed %d times in a row: it is left alone", self._name, self._failures)
            self._open_until = self._clock() + OPEN_SECONDS
