"""Prices that were: what was recorded, and nothing else."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from stocks.catalogue import STOCKS
from stocks.price_book import PriceBook
from stocks.quotes import Period
from stocks.sqlite_store import SqliteStore
from stocks.store import store_of
from tests.stocks.conftest import Api, running, settings_of
from tests.support.issuer import NOW, Clock, Issuer

COM1 = STOCKS[0]


@pytest.fixture
async def changed(api: Api, sqlite_url: str) -> Api:
    """An API whose COM1 costs 450.22 at the start, and 1, 2, 3 and 4 a minute later each."""
    store = store_of(sqlite_url)
    assert isinstance(store, SqliteStore)
    async with store:
        book = PriceBook(store, now=api.clock)
        for price in (1, 2, 3, 4):
            api.clock.seconds += 60
            await book.change(COM1, Decimal(price))
        assert book.price(COM1) == 4
    return api


def prices(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [quote["price"] for quote in response.json()["quotes"]]


async def test_at_first_the_opening_price_is_all_that_is_known(api: Api) -> None:
    assert (await api.get("/stocks/COM1/history")).json() == {
        "stock_id": "COM1",
        "currency": "USD",
        "quotes": [{"price": "450.22", "at": "2027-01-15T08:00:00Z"}],
        "next_cursor": None,
    }


async def test_a_restart_and_other_replicas_add_nothing_while_the_price_is_the_same(sqlite_url: str) -> None:
    issuer, clock = Issuer(), Clock()
    for _ in range(2):
        clock.seconds += 60
        async with (
            running(settings_of(sqlite_url), issuer, clock) as one,
            running(settings_of(sqlite_url), issuer, clock) as other,
        ):
            assert prices(await one.get("/stocks/COM1/history")) == ["450.22"]
            assert prices(await other.get("/stocks/COM1/history")) == ["450.22"]


async def test_changes_are_appended_and_shown_the_latest_first(changed: Api) -> None:
    assert prices(await changed.get("/stocks/COM1/history")) == ["4", "3", "2", "1", "450.22"]
    assert prices(await changed.get("/stocks/COM4/history")) == ["180.75"]


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("from=2027-01-15T08:02:00Z", ["4", "3", "2"]),
        ("to=2027-01-15T08:02:00Z", ["2", "1", "450.22"]),
        ("from=2027-01-15T08:01:00Z&to=2027-01-15T08:02:59.5Z", ["2", "1"]),
        ("from=2027-01-15T08:01:00.5Z&to=2027-01-15T08:02:00Z", ["2"]),
        ("from=2027-01-15T09:02:00%2B01:00&to=2027-01-15T08:02:00-00:00", ["2"]),
        ("from=2027-01-15T08:03:00Z&to=2027-01-15T08:02:00Z", []),
        ("from=0001-01-01T00:00:00Z&to=0001-01-01T00:00:00Z", []),
        ("from=9999-12-31T23:59:59Z", []),
        ("to=9999-12-31T23:59:59-23:59", ["4", "3", "2", "1", "450.22"]),
    ],
)
async def test_a_period_is_bounded_on_both_sides(changed: Api, period: str, expected: list[str]) -> None:
    assert prices(await changed.get(f"/stocks/COM1/history?{period}")) == expected


async def test_pages_follow_each_other(changed: Api) -> None:
    seen: list[str] = []
    query = "limit=2"
    while query:
        response = await changed.get(f"/stocks/COM1/history?{query}")
        seen += prices(response)
        cursor = response.json()["next_cursor"]
        query = f"limit=2&cursor={cursor}" if cursor else ""
    assert seen == ["4", "3", "2", "1", "450.22"]


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "from=1800000000",
        "from=2027-01-15",
        "from=2027-01-15T08:00:00",
        "to=2027-02-30T08:00:00Z",
        "from=２027-01-15T08:00:00Z",  # noqa: RUF001  a digit, but not one of RFC 3339
        "limit=0",
        "limit=101",
        "limit=ten",
        "cursor=x",
        "cursor=-1",
        "cursor=" + "9" * 30,
    ],
)
async def test_what_is_no_period_or_page_is_refused(api: Api, query: str) -> None:
    response = await api.get(f"/stocks/COM1/history?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["at"] == "query/" + query.partition("=")[0]


async def test_a_stock_of_another_region_has_no_history(api: Api) -> None:
    foreign, missing = await api.get("/stocks/COM2/history"), await api.get("/stocks/COM9/history")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() == missing.json()


@pytest.mark.parametrize("claims", [{"scope": "stocks/trade"}, {"act": {"sub": "x"}}, {"region": None}])
async def test_history_needs_what_prices_need(api: Api, claims: dict[str, Any]) -> None:
    assert (await api.get("/stocks/COM1/history", **claims)).status_code == 403


async def test_many_that_ask_at_once_record_the_opening_once(sqlite_url: str) -> None:
    async with store_of(sqlite_url) as store:
        book = PriceBook(store, now=lambda: NOW)
        await asyncio.gather(*(book.history(COM1, Period(), before=None, limit=9) for _ in range(10)))
        assert len(await book.history(COM1, Period(), before=None, limit=9)) == 1
