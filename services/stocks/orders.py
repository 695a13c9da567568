"""What an order is, and what a store of orders has to hold to."""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Protocol


class Side(StrEnum):
    """Whether the user wants the shares or has them."""

    BUY = "buy"
    SELL = "sell"


class Status(StrEnum):
    """Nothing executes orders here: an accepted one stays so until it is cancelled, which is final."""

    ACCEPTED = "accepted"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user wants. Two requests with the same terms ask for the same."""

    stock_id: str
    side: Side
    quantity: int
    limit_price: Decimal | None
    """The most to pay, or the least to take, for one share; at the market's price if absent."""

    def value(self, price: Decimal) -> Decimal:
        """Return what the order is worth when a share costs `price`.

        A limit caps what a buyer pays. It does not cap what a seller parts with: that is worth the market's
        price, however little he is content with.
        """
        if self.limit_price is None:
            return self.quantity * price
        if self.side is Side.BUY:
            return self.quantity * self.limit_price
        return self.quantity * max(self.limit_price, price)


@dataclass(frozen=True, slots=True)
class Order:
    """One order. All but `cancelled_at` stays as it was accepted. Times are seconds since 1970."""

    id: str
    terms: Terms
    currency: str
    value: Decimal
    """In `currency`, by the price known at `placed_at`."""
    placed_at: int
    cancelled_at: int | None = None

    @property
    def status(self) -> Status:
        """Where the order stands."""
        return Status.ACCEPTED if self.cancelled_at is None else Status.CANCELLED

    def as_accepted(self) -> "Order":
        """Return the order as it was accepted: the answer to its first request and to each repeat."""
        return replace(self, cancelled_at=None)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An `Idempotency-Key` and whose it is.

    Equal keys of two users, or of two agents of one user, have nothing in common.
    """

    user: str
    client_id: str
    key: str


class OrderStore(Protocol):
    """Holds orders for good. Every method concerns one user, and answers as if there were no other.

    All raise `TemporarilyUnavailable` when the store cannot say.
    """

    async def placed_with(self, request: RequestKey) -> Order | None:
        """Return the order that was placed with this key, if one was."""
        ...

    async def add(self, request: RequestKey, order: Order) -> bool:
        """Keep the order unless its key has been used; tell whether it was kept.

        It is decided and written in one step, whoever else tries the same; on return it survives a crash.
        """
        ...

    async def order(self, user: str, order_id: str) -> Order | None:
        """Return one of the user's orders."""
        ...

    async def orders(self, user: str, *, after: str | None, limit: int) -> list[Order] | None:
        """Return the user's orders, the latest first, from behind `after` on; `None` if that is not his."""
        ...

    async def cancel(self, user: str, order_id: str, at: int) -> Order | None:
        """Return one of the user's orders, cancelled now or before; on return that survives a crash."""
        ...
