"""Orders and quotes in one SQLite file, for the replicas of one machine.

Every write is one statement, and so one transaction that is on the disk when it returns.
"""

import asyncio
import logging
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Final, Self

import aiosqlite

from authcore.errors import TemporarilyUnavailable
from stocks.orders import Order, RequestKey, Side, Terms
from stocks.quotes import Period, Quote, RecordedQuote

Value = str | int | None
Row = aiosqlite.Row

_BUSY_TIMEOUT_MILLISECONDS: Final = 2000

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    client_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    stock_id TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    limit_price TEXT,
    currency TEXT NOT NULL,
    value TEXT NOT NULL,
    placed_at INTEGER NOT NULL,
    cancelled_at INTEGER,
    UNIQUE (user, client_id, idempotency_key)
);
CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user, number);
CREATE TABLE IF NOT EXISTS quotes (
    number INTEGER PRIMARY KEY,
    stock_id TEXT NOT NULL,
    price TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS quotes_by_stock ON quotes (stock_id, number);
"""

_ADD_ORDER: Final = """
INSERT INTO orders (
    id, user, client_id, idempotency_key, stock_id, side, quantity, limit_price, currency, value, placed_at
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (user, client_id, idempotency_key) DO NOTHING
RETURNING id
"""

_RECORD_QUOTE: Final = """
WITH last AS (SELECT price, at FROM quotes WHERE stock_id = :stock ORDER BY number DESC LIMIT 1)
INSERT INTO quotes (stock_id, price, at)
SELECT :stock, :price, max(:at, coalesce((SELECT at FROM last), :at))
WHERE :price IS NOT (SELECT price FROM last)
"""


class SqliteStore:
    """An `OrderStore` and a `QuoteStore` while its context is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        """Open the file, making it and its tables where they are missing. Only its owner may read it.

        Raises:
            RuntimeError: the file is of another version of this service.
        """
        # At DEBUG aiosqlite writes every statement with its values into the log.
        logging.getLogger("aiosqlite").setLevel(logging.INFO)
        await asyncio.to_thread(self._path.touch, mode=0o600)
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        try:
            await _prepare(connection, self._path)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the file."""
        if self._connection is not None:
            await self._connection.close()

    async def placed_with(self, request: RequestKey) -> Order | None:
        """Return the order that was placed with this key, if one was."""
        sql = "SELECT * FROM orders WHERE user = ? AND client_id = ? AND idempotency_key = ?"
        return _first_order(await self._run(sql, request.user, request.client_id, request.key))

    async def add(self, request: RequestKey, order: Order) -> bool:
        """Keep the order unless its key has been used; tell whether it was kept."""
        terms = order.terms
        limit_price = None if terms.limit_price is None else f"{terms.limit_price:f}"
        owner = (request.user, request.client_id, request.key)
        wanted = (terms.stock_id, terms.side.value, terms.quantity, limit_price)
        kept = (order.currency, f"{order.value:f}", order.placed_at)
        return bool(await self._run(_ADD_ORDER, order.id, *owner, *wanted, *kept))

    async def order(self, user: str, order_id: str) -> Order | None:
        """Return one of the user's orders."""
        return _first_order(await self._run("SELECT * FROM orders WHERE user = ? AND id = ?", user, order_id))

    async def orders(self, user: str, *, after: str | None, limit: int) -> list[Order] | None:
        """Return the user's orders, the latest first, from behind the order `after`."""
        number = None
        if after is not None:
            found = await self._run("SELECT number FROM orders WHERE user = ? AND id = ?", user, after)
            if not found:
                return None
            number = found[0]["number"]
        sql = "SELECT * FROM orders WHERE user = ? AND (? IS NULL OR number < ?) ORDER BY number DESC LIMIT ?"
        return [_order(row) for row in await self._run(sql, user, number, number, limit)]

    async def cancel(self, user: str, order_id: str, at: int) -> Order | None:
        """Return one of the user's orders, cancelled now or before."""
        sql = (
            "UPDATE orders SET cancelled_at = coalesce(cancelled_at, ?) WHERE user = ? AND id = ? RETURNING *"
        )
        return _first_order(await self._run(sql, at, user, order_id))

    async def record(self, quote: Quote) -> None:
        """Keep the quote unless its price is the one recorded last for the stock."""
        values: dict[str, Value] = {"stock": quote.stock_id, "price": f"{quote.price:f}", "at": quote.at}
        await self._run_named(_RECORD_QUOTE, values)

    async def quotes(
        self, stock_id: str, period: Period, *, before: str | None, limit: int
    ) -> list[RecordedQuote]:
        """Return the stock's quotes of the period, the latest first, from below the position `before`."""
        sql = (
            "SELECT * FROM quotes WHERE stock_id = :stock AND (:before IS NULL OR number < :before)"
            " AND (:start IS NULL OR at >= :start) AND (:end IS NULL OR at <= :end)"
            " ORDER BY number DESC LIMIT :limit"
        )
        number = None if before is None else int(before.partition("-")[0])
        bounds: dict[str, Value] = {"start": period.start, "end": period.end, "before": number}
        rows = await self._run_named(sql, {"stock": stock_id, "limit": limit} | bounds)
        return [_recorded(row) for row in rows]

    async def check(self) -> None:
        """Return if the file can be read.

        Raises:
            TemporarilyUnavailable: it cannot.
        """
        await self._run("SELECT 1 FROM orders LIMIT 1")

    async def _run(self, sql: str, *values: Value) -> list[Row]:
        return await self._fetch(sql, values)

    async def _run_named(self, sql: str, values: dict[str, Value]) -> list[Row]:
        return await self._fetch(sql, values)

    async def _fetch(self, sql: str, values: tuple[Value, ...] | dict[str, Value]) -> list[Row]:
        if self._connection is None:
            raise TemporarilyUnavailable("The store is not open yet", reason="sqlite: not open")
        try:
            return list(await self._connection.execute_fetchall(sql, values))
        except sqlite3.OperationalError as error:
            # A full disk, a locked or a vanished file: whoever repeats the request with its key is safe.
            raise TemporarilyUnavailable(
                "The store is not available. Repeat the request", reason=f"sqlite: {error}"
            ) from None


async def _prepare(connection: aiosqlite.Connection, path: Path) -> None:
    connection.row_factory = aiosqlite.Row
    await connection.execute_fetchall(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MILLISECONDS}")
    ((version,),) = await connection.execute_fetchall("PRAGMA user_version")
    if version not in (0, _SCHEMA_VERSION):
        raise RuntimeError(f"{path} is of another version of this service: remove it, or name another")
    await connection.execute_fetchall("PRAGMA journal_mode = WAL")
    # An order that was confirmed must be there after a power failure, not only after a crash.
    await connection.execute_fetchall("PRAGMA synchronous = FULL")
    await connection.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
    )


def _first_order(rows: list[Row]) -> Order | None:
    return _order(rows[0]) if rows else None


def _order(row: Row) -> Order:
    limit_price = None if row["limit_price"] is None else Decimal(row["limit_price"])
    terms = Terms(row["stock_id"], Side(row["side"]), row["quantity"], limit_price)
    return Order(
        row["id"], terms, row["currency"], Decimal(row["value"]), row["placed_at"], row["cancelled_at"]
    )


def _recorded(row: Row) -> RecordedQuote:
    quote = Quote(row["stock_id"], Decimal(row["price"]), row["at"])
    return RecordedQuote(quote, str(row["number"]))
