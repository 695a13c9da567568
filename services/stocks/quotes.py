"""Prices as they were."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quote:
    """From `at` (seconds since 1970) on the stock cost `price`, until the next quote."""

    stock_id: str
    price: Decimal
    at: int


@dataclass(frozen=True, slots=True)
class Period:
    """Which quotes are wanted: no earlier than `start`, no later than `end`, both included."""

    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedQuote:
    """A quote, and where it stands in the store's record of its stock."""

    quote: Quote
    position: str


class QuoteStore(Protocol):
    """Holds quotes for good, in the order in which they were recorded.

    All methods raise `TemporarilyUnavailable` when the store cannot say.
    """

    async def record(self, quote: Quote) -> None:
        """Keep the quote unless its price is the one recorded last for the stock.

        Of several replicas that record the same change one does. A quote is never dated before the last one.
        """
        ...

    async def quotes(
        self, stock_id: str, period: Period, *, before: str | None, limit: int
    ) -> list[RecordedQuote]:
        """Return the stock's quotes of the period, the latest first, from below the position `before`."""
        ...
