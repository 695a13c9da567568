"""An order that is asked for again is there once."""

import asyncio
from collections import Counter

import httpx
import pytest

from tests.stocks.conftest import ORDER, Api

JANE = {"sub": "user-2"}


async def count(api: Api, **claims: str) -> int:
    return len((await api.orders("?limit=100", **claims)).json()["orders"])


async def test_a_repeat_has_the_same_answer_and_no_second_order(api: Api) -> None:
    first = await api.place(ORDER | {"limit_price": "450.10"})
    api.clock.seconds += 600
    again = await api.place(ORDER | {"limit_price": "450.10"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert await count(api) == 1


async def test_a_repeat_after_cancelling_has_the_first_answer_and_orders_nothing(api: Api) -> None:
    first = await api.place(ORDER)
    await api.cancel(first.json()["id"])
    assert (await api.place(ORDER)).json() == first.json()
    assert (await api.order(first.json()["id"])).json()["status"] == "cancelled"
    assert await count(api) == 1


@pytest.mark.parametrize(
    "change", [{"quantity": 3}, {"side": "sell"}, {"stock_id": "COM4"}, {"limit_price": "1"}], ids=repr
)
async def test_a_key_stands_for_one_order(api: Api, change: dict[str, object]) -> None:
    await api.placed()
    response = await api.place(ORDER | change)
    assert response.status_code == 422
    assert response.json()["type"] == "urn:delegant:problem:idempotency-key-reused"
    assert await count(api) == 1


async def test_a_repeat_that_spells_the_same_terms_otherwise_is_the_same(api: Api) -> None:
    first = await api.place(ORDER | {"limit_price": "450.1"}, "key-1")
    again = await api.place({"limit_price": "450.10"} | ORDER, '"key-1"')
    assert first.json() == again.json()


async def test_equal_keys_of_two_users_or_two_agents_have_nothing_in_common(api: Api) -> None:
    everybody = [{}, {"sub": "user-2"}, {"client_id": "agent-2"}, {"sub": "agent-1", "client_id": "user-1"}]
    ids = {await api.placed(claims=claims) for claims in everybody}
    assert len(ids) == 4
    assert (await api.place(ORDER | {"quantity": 9}, **JANE, client_id="agent-9")).status_code == 201


@pytest.mark.parametrize(
    ("one", "other"),
    [({"client_id": "a", "key": "b:c"}, {"client_id": "a:b", "key": "c"})],
)
async def test_no_client_can_be_named_so_that_its_keys_are_anothers(
    api: Api, one: dict[str, str], other: dict[str, str]
) -> None:
    first = await api.placed(one["key"], claims={"client_id": one["client_id"]})
    assert await api.placed(other["key"], claims={"client_id": other["client_id"]}) != first


async def test_of_many_at_once_one_is_carried_out(api: Api) -> None:
    responses = await asyncio.gather(*(api.place(ORDER) for _ in range(20)))
    assert set(Counter(response.status_code for response in responses)) == {201, 409}
    assert len({response.json()["id"] for response in responses if response.status_code == 201}) == 1
    late = next(response for response in responses if response.status_code == 409)
    assert late.json()["type"] == "urn:delegant:problem:idempotency-key-in-use"
    assert late.headers["retry-after"] == "1"
    assert await count(api) == 1
    assert (await api.place(ORDER)).status_code == 201


KEYS: dict[str, list[str]] = {
    "none": [],
    "empty": [""],
    "too long": ["x" * 129],
    "two": ["key-1", "key-2"],
    "twice the same": ["key-1", "key-1"],
    "a list": ["key-1, key-2"],
    "a space": ["key 1"],
    "half a quote": ['"key-1'],
    "not ASCII": ["cl\u00e9"],
}


@pytest.mark.parametrize("values", KEYS.values(), ids=KEYS.keys())
async def test_one_key_is_required(api: Api, values: list[str]) -> None:
    headers = httpx.Headers(
        [*api.bearer(scope="stocks/trade", client_assurance_level=2, act={"sub": "token-broker"}).items()]
        + [("idempotency-key", value) for value in values],
        encoding="latin-1",
    )
    response = await api.http.post("/orders", json=ORDER, headers=headers)
    assert response.status_code == 400
    assert response.json()["type"] == "urn:delegant:problem:idempotency-key-required"
    assert await count(api) == 0


async def test_a_refusal_does_not_use_the_key_up(api: Api) -> None:
    assert (await api.place(ORDER | {"quantity": 23})).status_code == 403
    assert (await api.place(ORDER | {"quantity": 0})).status_code == 422
    assert (await api.place(ORDER, client_assurance_level=1)).status_code == 403
    assert (await api.place(ORDER)).status_code == 201


async def test_who_may_no_longer_trade_gets_no_repeated_answer(api: Api) -> None:
    await api.placed()
    assert (await api.place(ORDER, client_assurance_level=1)).status_code == 403
    assert (await api.place(ORDER, scope="stocks/read")).status_code == 403
