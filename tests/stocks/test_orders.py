"""Orders: what is accepted, who sees them, and what cancelling does."""

from typing import Any

import pytest

from tests.stocks.conftest import ORDER, TRADER, Api

JANE = {"sub": "user-2", "region": "Europe"}


async def test_an_order_is_accepted_and_described(api: Api) -> None:
    response = await api.place(ORDER | {"limit_price": "440.50"})
    assert response.status_code == 201
    document = response.json()
    assert document == {
        "id": document["id"],
        "stock_id": "COM1",
        "side": "buy",
        "quantity": 2,
        "limit_price": "440.50",
        "currency": "USD",
        "value": "881.00",
        "status": "accepted",
        "placed_at": "2027-01-15T08:00:00Z",
        "cancelled_at": None,
    }
    assert (await api.order(document["id"])).json() == document


async def test_an_order_without_a_limit_is_worth_the_price_of_now(api: Api) -> None:
    assert (await api.place(ORDER)).json()["value"] == "900.44"


async def test_cancelling_is_final_and_may_be_repeated(api: Api) -> None:
    order_id = await api.placed()
    first = await api.cancel(order_id)
    api.clock.seconds += 60
    again = await api.cancel(order_id)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json() == (await api.order(order_id)).json()
    assert first.json()["status"] == "cancelled"
    assert first.json()["cancelled_at"] == "2027-01-15T08:00:00Z"


async def test_nobody_sees_or_cancels_what_another_user_ordered(api: Api) -> None:
    order_id = await api.placed()
    for claims in (JANE, JANE | {"client_id": "agent-1", "region": "USA"}, {"sub": "USER-1"}):
        seen, cancelled = await api.order(order_id, **claims), await api.cancel(order_id, **claims)
        missing = await api.order("A" * len(order_id), **claims)
        assert seen.status_code == cancelled.status_code == missing.status_code == 404
        assert seen.json() == cancelled.json() == missing.json()
        assert missing.json()["type"] == "urn:delegant:problem:unknown-order"
        assert (await api.orders(**claims)).json() == {"orders": [], "next_cursor": None}
    assert (await api.order(order_id)).json()["status"] == "accepted"


async def test_another_agent_of_the_same_user_sees_the_order(api: Api) -> None:
    order_id = await api.placed()
    assert (await api.order(order_id, client_id="agent-2")).status_code == 200


async def test_orders_are_listed_the_latest_first_page_by_page(api: Api) -> None:
    placed = [await api.placed(f"key-{number}") for number in range(5)]
    await api.placed("other", claims=JANE, stock_id="COM2")
    seen: list[str] = []
    query = "?limit=2"
    while query:
        page = (await api.orders(query)).json()
        seen += [order["id"] for order in page["orders"]]
        query = f"?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == placed[::-1]


async def test_a_cursor_is_good_for_its_own_user_only(api: Api) -> None:
    order_id = await api.placed()
    foreign = await api.orders(f"?cursor={order_id}", **JANE)
    unknown = await api.orders(f"?cursor={'A' * len(order_id)}", **JANE)
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json() == unknown.json()


@pytest.mark.parametrize("stock_id", ["COM2", "COM9"])
async def test_a_stock_of_another_region_cannot_be_ordered_nor_found(api: Api, stock_id: str) -> None:
    response = await api.place(ORDER | {"stock_id": stock_id})
    assert response.status_code == 404
    assert response.json() == (await api.place(ORDER | {"stock_id": "NONE"})).json()
    assert response.json()["type"] == "urn:delegant:problem:unknown-stock"


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 1.0},
        {"quantity": 1.5},
        {"quantity": "1"},
        {"quantity": "\uff11"},
        {"quantity": True},
        {"quantity": None},
        {"quantity": 1_000_001},
        {"quantity": 10**30},
        {"limit_price": 440.5},
        {"limit_price": "0x10"},
        {"limit_price": "-1"},
        {"limit_price": "1e3"},
        {"limit_price": "NaN"},
        {"limit_price": "Infinity"},
        {"limit_price": "٤٤٠"},
        {"limit_price": "440.50\n"},
        {"limit_price": "1" * 40},
        {"limit_price": "0.00001"},
        {"limit_price": "0"},
        {"limit_price": "0.00"},
        {"side": "BUY"},
        {"side": "short"},
        {"stock_id": "COM\uff11"},
        {"stock_id": "COM1\u0000"},
        {"stock_id": "COM1' OR 1=1 --"},
        {"stock_id": "../COM1"},
        {"stock_id": ""},
        {"stock_id": ["COM1"]},
        {"user": "user-2"},
        {"currency": "EUR"},
        {"status": "cancelled"},
    ],
    ids=repr,
)
async def test_what_is_not_an_order_is_refused_by_name_and_not_repeated(
    api: Api, change: dict[str, Any]
) -> None:
    response = await api.place(ORDER | change)
    assert response.status_code == 422
    document = response.json()
    assert document["type"] == "urn:delegant:problem:invalid-input"
    name = next(iter(change))
    assert any(error["at"] == f"body/{name}" for error in document["errors"])
    assert (await api.orders()).json()["orders"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b'{"\\ud800":1}', 422),
        (b"[]", 422),
        (b"\xff", 400),
        (b'{"stock_id":"COM1","side":"buy","quantity":NaN}', 400),
        (b'{"stock_id":"COM1","side":"buy","quantity":Infinity}', 400),
        (b'{"stock_id":"COM1","side":"buy","quantity":' + b"9" * 5000 + b"}", 400),
        (b"[" * 30_000, 400),
        (b'{"stock_id":"' + b"A" * 60_000 + b'","side":"buy","quantity":1}', 422),
    ],
    ids=[
        "empty",
        "broken",
        "half a character",
        "a list",
        "not UTF-8",
        "NaN",
        "Infinity",
        "huge",
        "deep",
        "long",
    ],
)
async def test_a_body_that_is_no_order_is_a_problem_and_never_a_crash(
    api: Api, body: bytes, status: int
) -> None:
    headers = api.bearer(**TRADER) | {"idempotency-key": "key-1", "content-type": "application/json"}
    response = await api.http.post("/orders", content=body, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_member_that_is_there_twice_is_refused(api: Api) -> None:
    body = b'{"stock_id":"COM1","side":"buy","quantity":1,"quantity":9}'
    headers = api.bearer(**TRADER) | {"idempotency-key": "key-1", "content-type": "application/json"}
    assert (await api.http.post("/orders", content=body, headers=headers)).status_code == 400


@pytest.mark.parametrize("order_id", ["%2e%2e", "a%00b", "x" * 65, "\uff11", "a b"])
async def test_an_id_that_is_none_is_refused(api: Api, order_id: str) -> None:
    assert (await api.order(order_id)).status_code in (404, 422)


@pytest.mark.parametrize("query", ["?limit=0", "?limit=101", "?limit=-1", "?limit=x", "?cursor=" + "x" * 65])
async def test_pages_have_bounds(api: Api, query: str) -> None:
    assert (await api.orders(query)).status_code == 422


async def test_what_does_not_exist_is_a_problem_document_too(api: Api) -> None:
    missing, wrong = await api.get("/order"), await api.http.put("/orders", headers=api.bearer())
    assert missing.json()["type"] == "urn:delegant:problem:unknown-path"
    assert wrong.json()["type"] == "urn:delegant:problem:method-not-allowed"
    assert wrong.headers["allow"]
