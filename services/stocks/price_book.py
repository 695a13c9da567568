"""What a stock costs now, and what it cost before.

Today the catalogue's prices stand. Whoever changes a price later does it through `change`: what is known of
the past is what was recorded here, never made up.
"""

from decimal import Decimal

from authcore.clock import Clock
from authcore.errors import TemporarilyUnavailable
from stocks.catalogue import STOCKS, Stock
from stocks.quotes import Period, Quote, QuoteStore, RecordedQuote


class PriceBook:
    """Prices now in memory, all that there have been in the store."""

    def __init__(self, store: QuoteStore, *, now: Clock) -> None:
        self._store = store
        self._now = now
        self._prices = {stock.id: stock.price for stock in STOCKS}
        self._opening = tuple(Quote(stock.id, stock.price, now()) for stock in STOCKS)

    def price(self, stock: Stock) -> Decimal:
        """Return the stock's price now, in its currency."""
        return self._prices[stock.id]

    async def change(self, stock: Stock, price: Decimal) -> None:
        """Let the stock cost `price` from now on; on return that is recorded.

        Raises:
            TemporarilyUnavailable: it could not be recorded; the price has not changed.
        """
        await self.record_opening()
        await self._store.record(Quote(stock.id, price, self._now()))
        self._prices[stock.id] = price

    async def record_opening(self) -> None:
        """Record the prices this process began with, once.

        Raises:
            TemporarilyUnavailable: not all could be recorded.
        """
        for quote in self._opening:
            await self._store.record(quote)
        self._opening = ()

    async def history(
        self, stock: Stock, period: Period, *, before: str | None, limit: int
    ) -> list[RecordedQuote]:
        """Return what is known of the stock's prices, the latest first.

        Raises:
            TemporarilyUnavailable: the store cannot say.
        """
        await self.record_opening()
        return await self._store.quotes(stock.id, period, before=before, limit=limit)


async def record_opening_if_possible(book: PriceBook) -> None:
    """Record the opening prices; if the store is away, whoever asks for them first makes up for it."""
    try:
        await book.record_opening()
    except TemporarilyUnavailable:
        return
