"""One exchange at a time for each (delegation, subject token, audience, scopes).

Here within a process. A waiter can open only what was sealed with its own token, so that is part of the key.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from authcore.single_flight import SingleFlight

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FlightKey:
    """What must be equal for two exchanges to be one."""

    tag: str
    fingerprint: str
    audience: str
    scope: frozenset[str]


class ExchangeFlights(Generic[T]):
    """Runs an exchange once, for everybody who waits for it."""

    def __init__(self) -> None:
        self._flights = SingleFlight[FlightKey, T]()

    async def run(self, key: FlightKey, work: Callable[[], Awaitable[T]]) -> T:
        """Return or raise what `work` does; it is started only if none is under way for `key`."""
        return await self._flights.run(key, work)
