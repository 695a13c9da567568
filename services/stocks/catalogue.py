"""The companies that are traded, where, and at which price they start."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class Stock:
    """One listed company. Prices are exact, in units of `currency`."""

    id: str
    name: str
    region: str
    currency: str
    price: Decimal


STOCKS: Final = (
    Stock("COM1", "Company 1", "USA", "USD", Decimal("450.22")),
    Stock("COM2", "Company 2", "Europe", "EUR", Decimal("250.62")),
    Stock("COM3", "Company 3", "Europe", "EUR", Decimal("21.07")),
    Stock("COM4", "Company 4", "USA", "USD", Decimal("180.75")),
)


def listed_in(region: str) -> tuple[Stock, ...]:
    """Return the region's stocks in a fixed order; none for a region that is unknown."""
    return tuple(stock for stock in STOCKS if stock.region == region)


def find(stock_id: str, region: str) -> Stock | None:
    """Return the stock if the region lists it. One of another region is not told from one that is not."""
    return next((stock for stock in listed_in(region) if stock.id == stock_id), None)
