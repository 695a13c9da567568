"""One piece of work at a time for each key, however many ask for it, within one process."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Callers that ask for the same key while work for it is under way share its outcome, errors included.

    The work runs in a task of its own, so a caller that is cancelled takes nobody with it.
    """

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[T]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Return or raise what `work` does; it is started only if none is under way for `key`."""
        return await asyncio.shield(self.start(key, work))

    def start(self, key: K, work: Callable[[], Awaitable[T]]) -> "asyncio.Task[T]":
        """Start `work` if none is under way for `key`, and wait for nothing. Return the task that runs."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(_await(work))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        return flight

    def _land(self, key: K, flight: "asyncio.Task[T]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        # Reading the exception marks it as seen: all callers may have been cancelled by now.
        if not flight.cancelled():
            flight.exception()


async def _await(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
