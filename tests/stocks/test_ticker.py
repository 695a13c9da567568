"""The publisher of prices, with a real Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.client import Pipeline

from authcore.clock import monotonic
from authcore.events import PriceUpdate
from authcore.redis_client import BoundedRedis, connect
from stocks.catalogue import STOCKS
from stocks.lease import Lease
from stocks.price_store import Fenced, OutOfStep, PriceStore
from stocks.ticker_app import create_ticker
from stocks.ticker_settings import TickerSettings
from tests.stocks.prices import board_when, heard, reaches
from tests.support.redis_contents import RedisContents
from tests.support.redis_server import RedisServer

TAKEOVER_SECONDS = 2.0


def settings_for(url: str, **changes: Any) -> TickerSettings:
    return TickerSettings.model_validate({"redis_url": url, "updates_per_second": 100} | changes)


@asynccontextmanager
async def ticker(url: str, **changes: Any) -> AsyncGenerator[None]:
    async with create_ticker(settings_for(url, **changes)).start_lifespan_context():
        yield


async def nothing(_region: str, _update: PriceUpdate, _pipe: Pipeline) -> None:
    """Append to no stream."""


def update(sequence: int, price: str = "1.00") -> PriceUpdate:
    return PriceUpdate(symbol="COM1", price=Decimal(price), currency="USD", sequence=sequence, at=0)


async def test_every_stock_has_its_opening_price_first_and_then_moves(
    redis_url: str, store: PriceStore
) -> None:
    async with ticker(redis_url):
        await reaches(store, 30)
        first = await heard(redis_url, 30)

    assert [(entry.symbol, entry.price) for entry in first[:2]] == [
        (stock.id, stock.price) for stock in STOCKS if stock.region == "USA"
    ]
    assert [entry.sequence for entry in first] == list(range(1, 31))
    assert len({entry.price for entry in first if entry.symbol == "COM1"}) > 5


async def test_stream_and_latest_prices_never_disagree(redis_url: str, client: BoundedRedis) -> None:
    store = PriceStore(client)
    async with ticker(redis_url, updates_per_second=500):
        seen = 0
        for _ in range(50):
            async with client.use() as redis, redis.pipeline(transaction=True) as pipe:
                pipe.hget("{prices.USA}:state", "sequence")
                pipe.hvals("{prices.USA}:latest")
                pipe.xlen("prices.USA")
                sequence, latest, length = await pipe.execute()
            if sequence is None:
                continue
            newest = max(PriceUpdate.model_validate_json(document).sequence for document in latest)
            assert int(sequence) == newest == length
            seen = int(sequence)
        await reaches(store, seen + 50)


async def test_a_standby_takes_over_in_two_seconds_without_a_gap_or_a_repetition(
    redis_url: str, client: BoundedRedis, store: PriceStore
) -> None:
    async with ticker(redis_url):
        reached = (await reaches(store, 20)).sequence
        async with client.use() as redis:
            # As if the holder had died just after renewing: nobody renews, nobody releases.
            await redis.set("{ticker}:lease", "dead", px=1000)
        killed = monotonic()
        await reaches(store, reached + 20, within_seconds=TAKEOVER_SECONDS + 1)
        assert monotonic() - killed < TAKEOVER_SECONDS
        updates = await heard(redis_url, reached + 20)
    assert [entry.sequence for entry in updates] == list(range(1, reached + 21))


async def test_of_many_tickers_one_publishes(redis_url: str, store: PriceStore) -> None:
    async with ticker(redis_url), ticker(redis_url, seed=1), ticker(redis_url, seed=2):
        reached = (await reaches(store, 60)).sequence
        updates = await heard(redis_url, reached)

    assert [entry.sequence for entry in updates] == list(range(1, reached + 1))


async def test_who_ends_lets_the_next_one_begin_at_once(redis_url: str, store: PriceStore) -> None:
    async with ticker(redis_url):
        reached = (await reaches(store, 10)).sequence
    async with ticker(redis_url):
        await reaches(store, reached + 10, within_seconds=1)


async def test_a_new_holder_goes_on_from_the_prices_it_finds(redis_url: str, store: PriceStore) -> None:
    async with ticker(redis_url):
        before = await reaches(store, 100)

    async with ticker(redis_url, updates_per_second=4):
        after = await reaches(store, before.sequence + 1)

    for symbol, known in before.latest.items():
        assert abs(after.latest[symbol].price / known.price - 1) < Decimal("0.05")


async def test_who_holds_an_earlier_lease_cannot_write(client: BoundedRedis, store: PriceStore) -> None:
    lease = Lease(client, seconds=60)
    old = await lease.acquire()
    assert old is not None
    await store.claim("USA", token=old)
    await store.write("USA", [update(1)], token=old, append=nothing)
    assert await lease.acquire() is None
    await lease.release(old)
    new = await lease.acquire()
    assert new is not None
    assert new > old

    assert (await store.claim("USA", token=new)).sequence == 1
    with pytest.raises(Fenced):
        await store.write("USA", [update(2)], token=old, append=nothing)
    with pytest.raises(Fenced):
        await store.claim("USA", token=old)
    assert not await lease.renew(old)
    await lease.release(old)
    assert await lease.renew(new)


async def test_a_number_that_does_not_come_next_is_not_written(store: PriceStore) -> None:
    await store.claim("USA", token=1)
    await store.write("USA", [update(1), update(2)], token=1, append=nothing)

    for wrong in (1, 2, 4):
        with pytest.raises(OutOfStep):
            await store.write("USA", [update(wrong)], token=1, append=nothing)
    assert (await store.read("USA")).sequence == 2


async def test_a_write_that_meets_a_new_holder_is_not_carried_out(store: PriceStore) -> None:
    await store.claim("USA", token=1)

    async def taken_over(_region: str, _update: PriceUpdate, _pipe: Pipeline) -> None:
        # Between the look at the fence and the end of the transaction.
        await store.claim("USA", token=2)

    with pytest.raises(Fenced):
        await store.write("USA", [update(1)], token=1, append=taken_over)
    assert (await store.read("USA")).sequence == 0


async def test_tokens_grow_even_when_redis_has_lost_everything(
    client: BoundedRedis, redis: RedisContents
) -> None:
    lease = Lease(client, seconds=60)
    before = await lease.acquire()
    assert before is not None
    redis.clear()
    after = await lease.acquire()
    assert after is not None
    assert after > before


async def test_after_redis_lost_everything_the_prices_go_on(
    redis_url: str, redis: RedisContents, store: PriceStore
) -> None:
    async with ticker(redis_url):
        known = (await reaches(store, 50)).latest["COM1"].price
        redis.clear()
        board = await reaches(store, 10)

    assert set(board.latest) == {"COM1", "COM4"}
    assert abs(board.latest["COM1"].price / known - 1) < Decimal("0.05")


async def test_after_an_outage_the_ticker_publishes_again(own_redis: RedisServer) -> None:
    client = connect(own_redis.url, timeout_seconds=2, max_connections=4)
    store = PriceStore(client)
    async with ticker(own_redis.url):
        await reaches(store, 10)
        own_redis.stop()
        own_redis.start()
        await reaches(store, 10)
        own_redis.freeze()
        await asyncio.sleep(0)
        own_redis.thaw()
        await reaches(store, 20)
    await client.aclose()


async def test_quotes_are_replayed_and_the_last_price_stays(
    redis_url: str, store: PriceStore, tmp_path: Path
) -> None:
    path = tmp_path / "quotes.csv"
    rows = [f"{second},COM1,{400 + second}" for second in range(20)]
    path.write_text("\n".join(["time,symbol,price", *rows]))

    async with ticker(redis_url, replay=str(path), speed=100):
        board = await board_when(
            store, lambda board: "COM1" in board.latest and board.latest["COM1"].price == 419
        )
    assert board.latest["COM4"].price == Decimal("180.75")
