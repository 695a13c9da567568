"""Each rule of authorization.py, by the name its refusal bears."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from stocks import problems
from tests.stocks.conftest import ORDER, Api, running, settings_of
from tests.support.issuer import Clock, Issuer

DOCUMENTED = Path(__file__).parents[2] / "docs" / "problems.md"


def kind(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    return document["type"].removeprefix("urn:delegant:problem:")


async def everything(api: Api, order_id: str, **claims: Any) -> list[httpx.Response]:
    """Do all that can be done with orders."""
    return [
        await api.place(ORDER, "another", **claims),
        await api.orders(**claims),
        await api.order(order_id, **claims),
        await api.cancel(order_id, **claims),
    ]


@pytest.mark.parametrize("scope", [None, "profile", "stocks/read", "stocks/trade/all", "STOCKS/TRADE"])
async def test_orders_need_the_scope_for_trading(api: Api, scope: str | None) -> None:
    for response in await everything(api, await api.placed(), scope=scope):
        assert (response.status_code, kind(response)) == (403, "insufficient-scope")
        assert 'scope="stocks/trade"' in response.headers["www-authenticate"]
        assert response.json()["scope"] == "stocks/trade"


async def test_the_whole_stocks_scope_reaches_orders_and_trading_does_not_reach_prices(api: Api) -> None:
    order_id = await api.placed()
    responses = await everything(api, order_id, scope="stocks")
    assert [response.status_code for response in responses] == [201, 200, 200, 200]
    assert (await api.get("/stocks", scope="stocks/trade")).status_code == 403


@pytest.mark.parametrize("claim", ["region", "client_type", "client_assurance_level", "client_id"])
async def test_orders_need_to_know_whom_they_are_for_and_through_whom(api: Api, claim: str) -> None:
    for response in await everything(api, await api.placed(), **{claim: None}):
        assert (response.status_code, kind(response)) == (403, "context-missing")
        assert response.json()["claims"] == [claim]


@pytest.mark.parametrize("level", [0, 1])
async def test_an_agent_of_a_low_level_changes_nothing_but_may_look(api: Api, level: int) -> None:
    placing, listing, showing, cancelling = await everything(
        api, await api.placed(), client_assurance_level=level
    )
    for refused in (placing, cancelling):
        assert (refused.status_code, kind(refused)) == (403, "assurance-too-low")
        assert (refused.json()["required_level"], refused.json()["level"]) == (2, level)
        assert "private_key_jwt" in refused.json()["detail"]
    assert [listing.status_code, showing.status_code] == [200, 200]
    assert listing.json()["orders"][0]["status"] == "accepted"


CHAINS: Mapping[str, Any] = {
    "a stranger": {"sub": "somebody-else"},
    "a stranger behind the broker": {"sub": "token-broker", "act": {"sub": "somebody-else"}},
    "a stranger before the broker": {"sub": "somebody-else", "act": {"sub": "token-broker"}},
    "nearly the broker": {"sub": "token-broker "},
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
async def test_only_the_configured_services_may_act(api: Api, chain: object) -> None:
    for response in await everything(api, await api.placed(), act=chain):
        assert (response.status_code, kind(response)) == (403, "actor-not-allowed")
    assert kind(await api.get("/stocks", act=chain)) == "actor-not-allowed"


async def test_an_agent_that_comes_by_itself_changes_nothing(api: Api) -> None:
    placing, listing, _, cancelling = await everything(api, await api.placed(), act=None)
    assert kind(placing) == kind(cancelling) == "actor-not-allowed"
    assert listing.status_code == 200


async def test_where_nobody_may_act_a_token_with_an_actor_is_refused(sqlite_url: str) -> None:
    settings = settings_of(sqlite_url, allowed_actors=frozenset())
    async with running(settings, Issuer(), Clock()) as api:
        assert kind(await api.place(ORDER)) == "actor-not-allowed"
        assert (await api.place(ORDER, act=None)).status_code == 201


@pytest.mark.parametrize(
    ("terms", "accepted"),
    [
        ({"quantity": 22}, True),
        ({"quantity": 23}, False),
        ({"quantity": 100, "limit_price": "100"}, True),
        ({"quantity": 100, "limit_price": "100.0001"}, False),
        ({"quantity": 1, "limit_price": "999999999999.9999"}, False),
        ({"quantity": 23, "side": "sell", "limit_price": "0.01"}, False),
        ({"quantity": 20, "side": "sell", "limit_price": "500"}, True),
        ({"quantity": 20, "side": "sell", "limit_price": "501"}, False),
    ],
    ids=repr,
)
async def test_an_agents_order_has_a_limit(api: Api, terms: dict[str, Any], accepted: bool) -> None:
    response = await api.place(ORDER | terms)
    assert (response.status_code == 201) is accepted
    if not accepted:
        assert (response.status_code, kind(response)) == (403, "order-limit-exceeded")
        assert (response.json()["limit"], response.json()["currency"]) == ("10000", "USD")
        assert "10000 USD" in response.json()["detail"]


async def test_in_a_currency_without_a_limit_agents_order_nothing(sqlite_url: str) -> None:
    settings = settings_of(sqlite_url, agent_order_limits={"USD": Decimal(1_000)})
    async with running(settings, Issuer(), Clock()) as api:
        assert (await api.place(ORDER)).status_code == 201
        response = await api.place(ORDER | {"stock_id": "COM3"}, "key-2", region="Europe")
        assert kind(response) == "order-limit-exceeded"


async def test_a_client_type_that_is_trusted_is_not_held_to_the_rules_for_agents(sqlite_url: str) -> None:
    settings = settings_of(sqlite_url, trusted_client_types=frozenset({"own-app"}))
    freely: dict[str, Any] = {"client_assurance_level": 0, "act": None}
    async with running(settings, Issuer(), Clock()) as api:
        big = ORDER | {"quantity": 1_000}
        assert (await api.place(big, client_type="own-app", **freely)).status_code == 201
        for client_type in ("mcp", "MCP", "own-app ", "web"):
            response = await api.place(big, "key-2", client_type=client_type)
            assert kind(response) == "order-limit-exceeded"


async def test_who_may_not_is_told_nothing_about_his_order(api: Api) -> None:
    assert kind(await api.place({"no": "order"}, None, scope="stocks/read")) == "insufficient-scope"
    assert kind(await api.order("no id at all!", scope="stocks/read")) == "insufficient-scope"


def test_every_kind_of_problem_is_documented_and_has_a_name_of_its_own() -> None:
    lines = DOCUMENTED.read_text().splitlines()
    documented = {line.split("`")[1] for line in lines if line.startswith("| `")}
    assert documented == {kind.name for kind in problems.KINDS}
    assert len({kind.name for kind in problems.KINDS}) == len(problems.KINDS)
