"""Both stores hold to the same: what is kept stays, once, and is its user's alone."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from authcore.errors import TemporarilyUnavailable
from stocks.orders import Order, RequestKey, Side, Terms
from stocks.quotes import Period, Quote
from stocks.settings import Settings
from stocks.store import Store, store_of
from tests.stocks.conftest import ORDER, running, settings_of
from tests.support.issuer import Clock, Issuer
from tests.support.redis_server import RedisServer

KEY = RequestKey("john", "agent", "key")
TERMS = Terms("COM1", Side.BUY, 3, Decimal("440.50"))


@pytest.fixture(scope="module")
def durable_redis() -> Generator[RedisServer]:
    server = RedisServer(durable=True)
    server.start()
    yield server
    server.discard()


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    if request.param == "sqlite":
        return sqlite_url
    server: RedisServer = request.getfixturevalue("durable_redis")
    with redis_client.Redis.from_url(server.url) as client:  # pyright: ignore[reportUnknownMemberType]
        client.flushall()  # pyright: ignore[reportUnknownMemberType]
    return server.url


@pytest.fixture
async def store(store_url: str) -> AsyncGenerator[Store]:
    async with store_of(store_url) as store:
        yield store


@pytest.fixture
async def replica(store_url: str) -> AsyncGenerator[Store]:
    async with store_of(store_url) as store:
        yield store


def order(order_id: str = "order-1", *, at: int = 100) -> Order:
    return Order(order_id, TERMS, "USD", Decimal("1321.50"), at)


def key(name: str, user: str = "john") -> RequestKey:
    return RequestKey(user, "agent", name)


async def test_what_is_kept_can_be_read_by_every_replica(store: Store, replica: Store) -> None:
    assert await store.add(KEY, order())
    assert await replica.placed_with(KEY) == await replica.order("john", "order-1") == order()
    market = Order("order-2", Terms("COM1", Side.SELL, 1, None), "USD", Decimal(1), 100)
    assert await store.add(key("2"), market)
    assert await replica.order("john", "order-2") == market


async def test_a_key_keeps_its_first_order_whichever_replica_is_asked(store: Store, replica: Store) -> None:
    kept = await asyncio.gather(
        *((store, replica)[number % 2].add(KEY, order(f"order-{number}")) for number in range(20))
    )
    assert sum(kept) == 1
    (only,) = await store.orders("john", after=None, limit=100) or []
    assert await replica.placed_with(KEY) == only


async def test_cancelling_happens_once_whichever_replica_is_asked(store: Store, replica: Store) -> None:
    await store.add(KEY, order())
    cancelled = await asyncio.gather(
        *((store, replica)[number % 2].cancel("john", "order-1", 200 + number) for number in range(20))
    )
    times = {one.cancelled_at for one in cancelled if one is not None}
    assert len(times) == 1
    assert None not in times | set(cancelled)
    assert await store.placed_with(KEY) == cancelled[0]


async def test_a_store_answers_each_user_as_if_there_were_no_other(store: Store) -> None:
    await store.add(KEY, order())
    assert await store.order("jane", "order-1") is None
    assert await store.cancel("jane", "order-1", 200) is None
    assert await store.orders("jane", after=None, limit=9) == []
    assert await store.orders("jane", after="order-1", limit=9) is None
    assert await store.placed_with(RequestKey("jane", "agent", "key")) is None
    assert await store.placed_with(RequestKey("john", "agent-2", "key")) is None
    assert await store.order("john", "order-1") == order()


async def test_pages_are_stable_while_orders_arrive(store: Store) -> None:
    for number in range(5):
        await store.add(key(str(number)), order(f"order-{number}", at=100))
        await store.add(key(str(number), "jane"), order(f"jane-{number}"))
    first = await store.orders("john", after=None, limit=2) or []
    await store.add(key("new"), order("order-new", at=1))
    second = await store.orders("john", after=first[-1].id, limit=9) or []
    assert [one.id for one in first + second] == [f"order-{number}" for number in (4, 3, 2, 1, 0)]


async def test_quotes_are_recorded_once_for_each_change_and_never_go_back_in_time(
    store: Store, replica: Store
) -> None:
    for price, at in (("1", 100), ("1", 101), ("2", 102), ("3", 90), ("1", 102)):
        quote = Quote("COM1", Decimal(price), at)
        await asyncio.gather(*((store, replica)[number % 2].record(quote) for number in range(4)))
    await store.record(Quote("COM2", Decimal(9), 95))
    found = await replica.quotes("COM1", Period(), before=None, limit=9)
    assert [(str(one.quote.price), one.quote.at) for one in found] == [
        ("1", 102),
        ("3", 102),
        ("2", 102),
        ("1", 100),
    ]
    assert await store.quotes("COM1", Period(), before=found[1].position, limit=9) == found[2:]
    assert await store.quotes("COM1", Period(101, 102), before=found[1].position, limit=9) == found[2:3]
    assert await store.quotes("COM1", Period(end=101), before=found[0].position, limit=9) == found[3:]
    assert await store.quotes("COM1", Period(), before="0", limit=9) == []
    assert await store.quotes("COM1", Period(), before="0-0", limit=9) == []
    assert await store.quotes("COM1", Period(), before="9" * 15 + "-" + "9" * 9, limit=1) == found[:1]


async def test_two_replicas_of_the_api_are_one(store_url: str) -> None:
    issuer, clock, settings = Issuer(), Clock(), settings_of(store_url)
    async with running(settings, issuer, clock) as one, running(settings, issuer, clock) as other:
        responses = await asyncio.gather(*((one, other)[number % 2].place(ORDER) for number in range(10)))
        placed = {response.json()["id"] for response in responses if response.status_code == 201}
        assert {response.status_code for response in responses} <= {201, 409}
        (order_id,) = placed
        assert (await other.cancel(order_id)).json() == (await one.order(order_id)).json()
        assert (await one.http.get("/readyz")).status_code == 200


async def test_a_redis_that_would_lose_orders_is_given_none(redis_url: str) -> None:
    async with running(settings_of(redis_url), Issuer(), Clock()) as api:
        response = await api.place(ORDER)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        ready = await api.http.get("/readyz")
        assert ready.status_code == 503
        assert "appendonly" in ready.json()["store"]


async def test_a_redis_that_throws_keys_away_is_given_no_orders(durable_redis: RedisServer) -> None:
    with redis_client.Redis.from_url(durable_redis.url) as client:  # pyright: ignore[reportUnknownMemberType]
        client.config_set("maxmemory-policy", "allkeys-lru")  # pyright: ignore[reportUnknownMemberType]
        try:
            async with store_of(durable_redis.url) as store:
                with pytest.raises(TemporarilyUnavailable):
                    await store.add(KEY, order())
        finally:
            client.config_set("maxmemory-policy", "noeviction")  # pyright: ignore[reportUnknownMemberType]


async def test_while_the_store_is_away_nothing_is_decided_and_then_all_goes_on(
    own_redis: RedisServer,
) -> None:
    own_redis.durable = True
    own_redis.stop()
    async with running(settings_of(own_redis.url), Issuer(), Clock()) as api:
        for response in (await api.place(ORDER), await api.orders(), await api.get("/stocks/COM1/history")):
            assert response.status_code == 503
            assert response.headers["retry-after"]
        assert (await api.get("/stocks")).status_code == 200
        own_redis.start()
        assert (await api.place(ORDER)).status_code == 201
        assert len((await api.get("/stocks/COM1/history")).json()["quotes"]) == 1


async def test_a_file_that_is_locked_for_too_long_is_503_and_no_order(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with running(settings_of(sqlite_url), Issuer(), Clock()) as api:
        with closing(sqlite3.connect(tmp_path / "stocks.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            response = await api.place(ORDER)
        assert response.status_code == 503
        assert "Repeat" in response.json()["detail"]
        assert (await api.orders()).json()["orders"] == []
        assert (await api.place(ORDER)).status_code == 201


@pytest.mark.parametrize(
    "url",
    ["", "stocks.sqlite", "sqlite://host/path", "sqlite:///", "postgresql://x/y", "sqlite:////no/such/dir/x"],
)
def test_a_store_that_cannot_be_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="store_url"):
        settings_of(url)


def test_the_url_is_a_secret_and_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:planted@127.0.0.1/0\n")
    given: dict[str, Any] = {"issuer": "x", "jwks_uri": "x", "audience": "x"}
    settings = Settings(**given, store_url_file=tmp_path / "url")
    assert settings.store_url.get_secret_value() == "redis://:planted@127.0.0.1/0"
    assert "planted" not in repr(settings)


async def test_only_its_owner_may_read_the_file(sqlite_url: str, tmp_path: Path) -> None:
    async with store_of(sqlite_url) as store:
        await store.add(KEY, order())
        modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in FILES}
    assert modes == dict.fromkeys(FILES, 0o600)


FILES = ("stocks.sqlite", "stocks.sqlite-wal", "stocks.sqlite-shm")


async def test_a_file_of_another_version_is_refused_and_left_alone(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "stocks.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="another version"):
        async with store_of(sqlite_url):
            pass
    assert path.read_bytes() == before
