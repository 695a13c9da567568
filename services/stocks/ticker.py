"""The one publisher of prices: of several tickers the holder of the lease works, the others wait.

Whoever takes over claims each region first, so that nothing its predecessor still sends is accepted, and goes
on from the last number that was published: numbers have no gaps, and no update is published twice.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from itertools import groupby
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from authcore.clock import Milliseconds, Monotonic
from authcore.errors import TemporarilyUnavailable
from authcore.events import PRICES, PriceUpdate
from stocks.catalogue import STOCKS, Stock
from stocks.lease import Lease
from stocks.price_moves import Move, Source
from stocks.price_store import Append, Fenced, OutOfStep, PriceStore

logger = logging.getLogger(__name__)
tracer = trace.get_tracer(__name__)

LEASE_SECONDS: Final = 1.0
RENEW_SECONDS: Final = 0.3
STANDBY_SECONDS: Final = 0.25
RETRY_SECONDS: Final = 0.25
BATCH_SECONDS: Final = 0.01
"""Updates that are due within this time travel together."""

_BY_SYMBOL: Final[Mapping[str, Stock]] = {stock.id: stock for stock in STOCKS}
REGIONS: Final = tuple(sorted({stock.region for stock in STOCKS}))


class Ticker:
    """Publishes what its source says, while it holds the lease."""

    def __init__(
        self,
        store: PriceStore,
        lease: Lease,
        source: Source,
        append: Append,
        *,
        clock: Monotonic,
        now: Milliseconds,
    ) -> None:
        self._store = store
        self._lease = lease
        self._source = source
        self._append = append
        self._clock = clock
        self._now = now
        self._started = clock()
        self._prices: dict[str, Decimal] = {}
        self._sequences: dict[str, int] = {}
        self._pending: dict[str, list[Move]] = {}
        """Moves of each region that Redis did not say it has."""

    async def run(self) -> None:
        """Publish whenever the lease can be had, until cancelled."""
        while True:
            try:
                token = await self._lease.acquire()
                if token is None:
                    await asyncio.sleep(STANDBY_SECONDS)
                else:
                    await self._hold(token)
            except TemporarilyUnavailable as error:
                logger.warning("prices cannot be published: %s", error.reason)
                await asyncio.sleep(RETRY_SECONDS)
            except Fenced:
                logger.warning("another ticker has taken over")

    async def _hold(self, token: int) -> None:
        logger.info("this ticker publishes the prices, with lease %s", token)
        try:
            for region in REGIONS:
                await self._claim(region, token)
            # What was due before is another ticker's past: only where it has led to counts.
            missed = self._source.due(self._clock() - self._started, self._prices)
            await self._spread({move.symbol: move for move in missed}.values(), token)
            await self._publish(token)
        finally:
            with suppress(TemporarilyUnavailable):
                await self._lease.release(token)

    async def _publish(self, token: int) -> None:
        renewed = self._clock()
        while True:
            if self._clock() - renewed >= RENEW_SECONDS:
                renewing = self._clock()
                if not await self._lease.renew(token):
                    logger.warning("the lease was lost")
                    return
                renewed = renewing
            moves = self._source.due(self._clock() - self._started, self._prices)
            await self._spread(moves, token)
            await asyncio.sleep(self._pause(renewed))

    def _pause(self, renewed: float) -> float:
        due = self._source.next_at()
        until_renewal = renewed + RENEW_SECONDS - self._clock()
        until_due = until_renewal if due is None else due + self._started - self._clock()
        return max(BATCH_SECONDS, min(until_renewal, until_due))

    async def _spread(self, moves: Iterable[Move], token: int) -> None:
        for region, of_region in groupby(sorted(moves, key=_region), key=_region):
            self._pending.setdefault(region, []).extend(of_region)
        for region, pending in list(self._pending.items()):
            try:
                await self._write(region, pending, token)
            except OutOfStep:
                logger.warning("the prices of %s are not what was published last; beginning anew", region)
                await self._claim(region, token)
            except TemporarilyUnavailable:
                # Some of it may have arrived: the latest price of each stock is what must not get lost.
                self._pending[region] = list({move.symbol: move for move in pending}.values())
                raise

    async def _write(self, region: str, moves: list[Move], token: int) -> None:
        first, at = self._sequences[region] + 1, self._now()
        updates = [_update(move, number, at) for number, move in enumerate(moves, first)]
        with tracer.start_as_current_span(
            f"send {PRICES}{region}",
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "redis",
                "messaging.operation.type": "send",
                "messaging.operation.name": "send",
                "messaging.destination.name": PRICES + region,
                "messaging.batch.message_count": len(updates),
            },
        ):
            await self._store.write(region, updates, token=token, append=self._append)
        self._sequences[region] = updates[-1].sequence
        self._prices.update({move.symbol: move.price for move in moves})
        del self._pending[region]

    async def _claim(self, region: str, token: int) -> None:
        board = await self._store.claim(region, token=token)
        self._sequences[region] = board.sequence
        pending = {move.symbol for move in self._pending.get(region, ())}
        for stock in STOCKS:
            if stock.region != region:
                continue
            known = board.latest.get(stock.id)
            if known is not None:
                self._prices[stock.id] = known.price
            elif stock.id not in pending:
                price = self._prices.setdefault(stock.id, stock.price)
                self._pending.setdefault(region, []).append(Move(stock.id, price))


def _region(move: Move) -> str:
    return _BY_SYMBOL[move.symbol].region


def _update(move: Move, sequence: int, at: int) -> PriceUpdate:
    currency = _BY_SYMBOL[move.symbol].currency
    return PriceUpdate(symbol=move.symbol, price=move.price, currency=currency, sequence=sequence, at=at)
