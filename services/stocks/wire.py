"""The documents of this API. Amounts of money are decimal strings: a float cannot hold them."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from stocks.catalogue import Stock
from stocks.orders import Order, Side, Status, Terms
from stocks.quotes import RecordedQuote

MAX_QUANTITY: Final = 1_000_000
MAX_PAGE: Final = 100

_AMOUNT: Final = (
    r"^([1-9][0-9]{0,11}(\.[0-9]{1,4})?|0\.([1-9][0-9]{0,3}|0[1-9][0-9]{0,2}|00[1-9][0-9]?|000[1-9]))$"
)
"""More than nothing, with four decimals at most."""
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

StockId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$")]
OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Position = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(-[0-9]{1,9})?$")]
Amount = Annotated[str, StringConstraints(pattern=_AMOUNT), Field(examples=["450.22"])]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE)]


def _is_rfc3339(value: object) -> object:
    # Pydantic alone would also take a number of seconds, or of milliseconds, by its size.
    if isinstance(value, str) and not _RFC3339.fullmatch(value):
        raise ValueError("must be a time of RFC 3339 with its offset, such as 2030-01-31T12:00:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_is_rfc3339)]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class StockPrice(_Document):
    """One stock and its price now, in units of `currency`."""

    id: str
    name: str
    region: str
    currency: str
    price: float

    @classmethod
    def of(cls, stock: Stock, price: Decimal) -> "StockPrice":
        """Return the document."""
        return cls(
            id=stock.id, name=stock.name, region=stock.region, currency=stock.currency, price=float(price)
        )


class QuoteDocument(_Document):
    """A price, and since when it was the price."""

    price: Amount
    at: datetime

    @classmethod
    def of(cls, recorded: RecordedQuote) -> "QuoteDocument":
        """Return the document."""
        return cls(price=f"{recorded.quote.price:f}", at=_time(recorded.quote.at))


class PriceHistory(_Document):
    """A page of what is known of a stock's prices, the latest first."""

    stock_id: str
    currency: str
    quotes: list[QuoteDocument]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last")


class OrderRequest(_Document):
    """An order to place."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    stock_id: StockId
    side: Literal["buy", "sell"]
    quantity: int = Field(ge=1, le=MAX_QUANTITY, description="shares, whole ones")
    limit_price: Amount | None = Field(
        default=None,
        description="the most to pay, or the least to take, for one share, in the stock's currency; "
        "at the market's price if absent",
    )

    def terms(self) -> Terms:
        """Return what is wanted."""
        limit_price = None if self.limit_price is None else Decimal(self.limit_price)
        return Terms(self.stock_id, Side(self.side), self.quantity, limit_price)


class OrderDocument(_Document):
    """An order, to the user who placed it."""

    id: str
    stock_id: str
    side: Side
    quantity: int
    limit_price: Amount | None
    currency: str
    value: str = Field(description="what the order was worth when it was placed, in `currency`")
    status: Status
    placed_at: datetime
    cancelled_at: datetime | None

    @classmethod
    def of(cls, order: Order) -> "OrderDocument":
        """Return the document."""
        terms = order.terms
        return cls(
            id=order.id,
            stock_id=terms.stock_id,
            side=terms.side,
            quantity=terms.quantity,
            limit_price=None if terms.limit_price is None else f"{terms.limit_price:f}",
            currency=order.currency,
            value=f"{order.value:f}",
            status=order.status,
            placed_at=_time(order.placed_at),
            cancelled_at=None if order.cancelled_at is None else _time(order.cancelled_at),
        )


class OrderPage(_Document):
    """A page of the user's orders, the latest first."""

    orders: list[OrderDocument]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last")


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
