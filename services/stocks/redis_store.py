"""Orders and quotes in Redis, for replicas on many machines.

What belongs to one user is under keys with one hash tag, so that a cluster decides in one place.
Nothing expires.
"""

import hashlib
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, Self, cast

from pydantic import TypeAdapter

from authcore.errors import TemporarilyUnavailable
from authcore.redis_client import connect
from stocks.orders import Order, RequestKey
from stocks.quotes import Period, Quote, RecordedQuote

TIMEOUT_SECONDS: Final = 2.0
MAX_CONNECTIONS: Final = 64

_ORDER: Final = TypeAdapter(Order)

# KEYS: the user's keys, orders, order of orders. ARGV: request key, order id, order.
_ADD: Final = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[3], redis.call('ZCARD', KEYS[3]) + 1, ARGV[2])
return 1
"""

# KEYS: the stock's stream. ARGV: price, milliseconds. An entry's id is its time, never before the last one's.
_RECORD: Final = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id = ARGV[2] .. '-0'
if last then
    if last[2][2] == ARGV[1] then return end
    local time, number = string.match(last[1], '(%d+)-(%d+)')
    if tonumber(time) >= tonumber(ARGV[2]) then id = time .. '-' .. string.format('%d', number + 1) end
end
redis.call('XADD', KEYS[1], id, 'price', ARGV[1])
"""


class RedisStore:
    """An `OrderStore` and a `QuoteStore`, on a Redis that is known to keep what it is given."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, timeout_seconds=TIMEOUT_SECONDS, max_connections=MAX_CONNECTIONS)
        self._keeps = False

    async def __aenter__(self) -> Self:
        """Return the store; whether Redis is there shows when it is used."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def placed_with(self, request: RequestKey) -> Order | None:
        """Return the order that was placed with this key, if one was."""
        order_id = await self._do("HGET", _key(request.user, "keys"), _field(request))
        return None if order_id is None else await self.order(request.user, order_id.decode())

    async def add(self, request: RequestKey, order: Order) -> bool:
        """Keep the order unless its key has been used; tell whether it was kept."""
        if not self._keeps:
            await self.check()
        keys = [_key(request.user, what) for what in ("keys", "orders", "placed")]
        arguments = (_field(request), order.id, _ORDER.dump_json(order.as_accepted()))
        return bool(await self._do("EVAL", _ADD, len(keys), *keys, *arguments))

    async def order(self, user: str, order_id: str) -> Order | None:
        """Return one of the user's orders."""
        return (await self._orders(user, [order_id]))[0]

    async def orders(self, user: str, *, after: str | None, limit: int) -> list[Order] | None:
        """Return the user's orders, the latest first, from behind the order `after`."""
        last = "+inf"
        if after is not None:
            score = await self._do("ZSCORE", _key(user, "placed"), after)
            if score is None:
                return None
            last = f"({float(score):.0f}"
        bounds = (last, "-inf", "LIMIT", 0, limit)
        found = await self._do("ZREVRANGEBYSCORE", _key(user, "placed"), *bounds)
        orders = await self._orders(user, [order_id.decode() for order_id in found])
        return [order for order in orders if order is not None]

    async def cancel(self, user: str, order_id: str, at: int) -> Order | None:
        """Return one of the user's orders, cancelled now or before."""
        if await self.order(user, order_id) is None:
            return None
        await self._do("HSETNX", _key(user, "cancelled"), order_id, at)
        return await self.order(user, order_id)

    async def record(self, quote: Quote) -> None:
        """Keep the quote unless its price is the one recorded last for the stock."""
        await self._do("EVAL", _RECORD, 1, _quotes_key(quote.stock_id), f"{quote.price:f}", quote.at * 1000)

    async def quotes(
        self, stock_id: str, period: Period, *, before: str | None, limit: int
    ) -> list[RecordedQuote]:
        """Return the stock's quotes of the period, the latest first, from below the position `before`."""
        highest = "+" if period.end is None else str(max(period.end, 0) * 1000 + 999)
        lowest = "-" if period.start is None else str(max(period.start, 0) * 1000)
        if before is not None and _position(before) == (0, 0):
            return []
        if before is not None and (highest == "+" or _position(before) <= _position(highest)):
            highest = "(" + before
        entries = await self._do("XREVRANGE", _quotes_key(stock_id), highest, lowest, "COUNT", limit)
        return [_recorded(stock_id, entry) for entry in entries]

    async def check(self) -> None:
        """Return if Redis answers, writes what it is told to a file, and throws nothing away.

        Raises:
            TemporarilyUnavailable: it does not.
        """
        async with self._redis.use() as redis:
            info = await redis.info()  # pyright: ignore[reportUnknownMemberType]
        if str(info.get("aof_enabled")) != "1" or info.get("maxmemory_policy") != "noeviction":
            raise TemporarilyUnavailable(
                "The store does not keep orders. Its operator must change that",
                reason="redis: orders need appendonly yes and maxmemory-policy noeviction",
            )
        self._keeps = True

    async def _orders(self, user: str, order_ids: list[str]) -> list[Order | None]:
        if not order_ids:
            return []
        kept = await self._do("HMGET", _key(user, "orders"), *order_ids)
        cancelled = await self._do("HMGET", _key(user, "cancelled"), *order_ids)
        return [
            None
            if order is None
            else replace(_ORDER.validate_json(order), cancelled_at=None if at is None else int(at))
            for order, at in zip(kept, cancelled, strict=True)
        ]

    async def _do(self, *command: str | bytes | float) -> Any:  # noqa: ANN401  each command has its own answer
        async with self._redis.use() as redis:
            return cast(Any, await redis.execute_command(*command))  # pyright: ignore[reportUnknownMemberType]


def _key(user: str, what: str) -> str:
    return f"stocks:{{{hashlib.sha256(user.encode()).hexdigest()}}}:{what}"


def _field(request: RequestKey) -> str:
    # Hashed, both parts by themselves, so that no client can be chosen to look like part of a key.
    parts = (request.client_id, request.key)
    return ":".join(hashlib.sha256(part.encode()).hexdigest() for part in parts)


def _quotes_key(stock_id: str) -> str:
    return f"stocks:quotes:{{{stock_id}}}"


def _position(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def _recorded(stock_id: str, entry: tuple[bytes, dict[bytes, bytes]]) -> RecordedQuote:
    position = entry[0].decode()
    price = Decimal(entry[1][b"price"].decode())
    return RecordedQuote(Quote(stock_id, price, _position(position)[0] // 1000), position)
