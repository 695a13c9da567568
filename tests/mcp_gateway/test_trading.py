"""Tools around one stock and around orders, with the real API behind them."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from mcp_gateway.policy import TOOL_RULES, Risk
from mcp_gateway.server import TOOLS
from tests.mcp_gateway.conftest import Gateway

ORDER: dict[str, Any] = {
    "symbol": "COM1",
    "side": "buy",
    "quantity": 2,
    "idempotency_key": "11111111-aaaa",
}


def order(**changes: Any) -> dict[str, Any]:
    return ORDER | changes


@pytest.fixture(autouse=True)
def agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users have agreed to everything: how they do is in test_approvals.py."""
    for name, rule in list(TOOL_RULES.items()):
        monkeypatch.setitem(TOOL_RULES, name, replace(rule, risk=Risk.LOW))


@pytest.fixture(autouse=True)
def traders(gateway: Gateway) -> None:
    """Two users and two agents, all with the whole scope and proven keys."""
    proven: dict[str, Any] = {"scope": "stocks", "client_assurance_level": 2, "region": "USA"}
    gateway.network.broker.tokens.update(
        {
            "trader": proven | {"sub": "john", "delegationId": "d-1"},
            "other-agent": proven | {"sub": "john", "client_id": "agent-2", "delegationId": "d-2"},
            "other-user": proven | {"sub": "jane", "delegationId": "d-3"},
        }
    )


async def call(gateway: Gateway, tool: str, token: str = "trader", **arguments: Any) -> dict[str, Any]:
    """Call a tool; what it answers fits what it describes, in both forms."""
    response = await gateway.call(tool, token=token, **arguments)
    assert response.status_code == 200, response.text
    result = response.json()["result"]
    if not result["isError"]:
        schema = TOOLS[tool].definition.output_schema
        assert schema is not None
        Draft202012Validator(schema).validate(result["structuredContent"])  # pyright: ignore[reportUnknownMemberType]
        written = json.loads(result["content"][0]["text"])
        assert written in (result["structuredContent"], result["structuredContent"].get("stocks"))
    return result


async def content(gateway: Gateway, tool: str, token: str = "trader", **arguments: Any) -> dict[str, Any]:
    result = await call(gateway, tool, token, **arguments)
    assert not result["isError"], result
    return result["structuredContent"]


async def refusal(gateway: Gateway, tool: str, token: str = "trader", **arguments: Any) -> str:
    result = await call(gateway, tool, token, **arguments)
    assert result["isError"], result
    return result["content"][0]["text"]


async def test_one_stock_is_priced_and_one_of_another_region_is_unknown(gateway: Gateway) -> None:
    assert (await content(gateway, "get-stock-price", symbol="COM1"))["price"] == 450.22
    foreign = await refusal(gateway, "get-stock-price", symbol="COM2")
    assert foreign == await refusal(gateway, "get-stock-price", symbol="COM9")
    assert "region" in foreign


async def test_history_is_what_the_api_has_recorded(gateway: Gateway) -> None:
    found = await content(gateway, "get-price-history", symbol="COM1", start="2027-01-15T08:00:00Z", limit=5)
    assert found == {
        "stock_id": "COM1",
        "currency": "USD",
        "quotes": [{"price": "450.22", "at": "2027-01-15T08:00:00Z"}],
        "next_cursor": None,
    }
    assert (await content(gateway, "get-price-history", symbol="COM1", end="2027-01-15T07:59:59Z"))[
        "quotes"
    ] == []


async def test_an_order_is_placed_listed_and_cancelled(gateway: Gateway) -> None:
    placed = await content(gateway, "place-order", **ORDER, limit_price="440.50")
    assert (placed["status"], placed["value"], placed["placed_before"]) == ("accepted", "881.00", False)
    (listed,) = (await content(gateway, "list-orders"))["orders"]
    assert listed | {"placed_before": False} == placed
    cancelled = await content(gateway, "cancel-order", order_id=placed["id"])
    assert cancelled["status"] == "cancelled"
    assert await content(gateway, "cancel-order", order_id=placed["id"]) == cancelled


async def test_a_repeated_call_orders_once_and_says_so(gateway: Gateway) -> None:
    first = await content(gateway, "place-order", **ORDER)
    again = await content(gateway, "place-order", **ORDER)
    assert again == first | {"placed_before": True}
    assert len((await content(gateway, "list-orders"))["orders"]) == 1


async def test_calls_at_once_with_one_key_order_once(gateway: Gateway) -> None:
    results = await asyncio.gather(*(call(gateway, "place-order", **ORDER) for _ in range(8)))
    assert any(not result["isError"] for result in results)
    assert all("Repeat" in result["content"][0]["text"] for result in results if result["isError"])
    assert len((await content(gateway, "list-orders"))["orders"]) == 1


async def test_a_key_used_for_another_order_is_refused_with_what_to_do(gateway: Gateway) -> None:
    await content(gateway, "place-order", **ORDER)
    assert "new one" in await refusal(gateway, "place-order", **order(quantity=3))


async def test_agents_and_users_do_not_share_keys_and_users_do_not_share_orders(gateway: Gateway) -> None:
    ids = [
        (await content(gateway, "place-order", token, **ORDER))["id"]
        for token in ("trader", "other-agent", "other-user")
    ]
    assert len(set(ids)) == 3
    assert len((await content(gateway, "list-orders", "other-agent"))["orders"]) == 2
    assert len((await content(gateway, "list-orders", "other-user"))["orders"]) == 1
    stolen = await refusal(gateway, "cancel-order", "other-user", order_id=ids[0])
    assert stolen == await refusal(gateway, "cancel-order", "other-user", order_id="A" * 22)


async def test_an_order_beyond_the_limit_names_the_limit(gateway: Gateway) -> None:
    text = await refusal(gateway, "place-order", **order(quantity=23))
    assert "10000 USD" in text
    assert "without an agent" in text


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("get-stock-price", {}, "symbol: Field required"),
        ("get-stock-price", {"symbol": "../orders"}, "- symbol:"),
        ("get-stock-price", {"symbol": ".."}, "- symbol:"),
        ("get-stock-price", {"symbol": "COM1?x=1"}, "- symbol:"),
        ("get-stock-price", {"symbol": "COM1/history"}, "- symbol:"),
        ("get-stock-price", {"symbol": "COM\uff11"}, "- symbol:"),
        ("get-stock-price", {"symbol": 1}, "such as 'COM1'"),
        ("get-stock-price", {"id": "COM1"}, "The arguments are: symbol"),
        ("get-price-history", {"symbol": "COM1", "start": "yesterday"}, "RFC 3339"),
        ("get-price-history", {"symbol": "COM1", "limit": 101}, "less than or equal to 100"),
        ("get-price-history", {"symbol": "COM1", "cursor": "1&limit=9"}, "next_cursor"),
        ("place-order", ORDER | {"quantity": 2.5}, "such as 2"),
        ("place-order", ORDER | {"quantity": "2"}, "as a number"),
        ("place-order", ORDER | {"quantity": -2}, "greater than or equal to 1"),
        ("place-order", ORDER | {"quantity": 10**40}, "quantity"),
        ("place-order", ORDER | {"quantity": True}, "quantity"),
        ("place-order", ORDER | {"side": "short"}, "'buy' or 'sell'"),
        ("place-order", ORDER | {"limit_price": 440.5}, "such as '440.50'"),
        ("place-order", ORDER | {"limit_price": "NaN"}, "limit_price"),
        ("place-order", ORDER | {"limit_price": "\u0664"}, "limit_price"),
        ("place-order", ORDER | {"idempotency_key": "1"}, "new random UUID"),
        ("place-order", ORDER | {"idempotency_key": "key-12345\r\nx: y"}, "idempotency_key"),
        ("place-order", ORDER | {"user": "jane"}, "user: Extra inputs"),
        ("place-order", ORDER | {"x" * 500: 1}, "x" * 60 + ":"),
        ("cancel-order", {"order_id": "../stocks"}, "list-orders"),
        ("cancel-order", {"order_id": ""}, "order_id"),
        ("list-orders", {"limit": 0}, "limit"),
    ],
)
async def test_wrong_arguments_are_explained_and_reach_nobody(
    gateway: Gateway, tool: str, arguments: dict[str, Any], named: str
) -> None:
    text = await refusal(gateway, tool, **arguments)
    assert named in text
    assert "nothing was done" in text
    assert gateway.network.api_requests == []
    assert gateway.network.broker.exchanges == 0


async def test_half_a_character_is_explained_too(gateway: Gateway) -> None:
    for arguments in ('{"symbol":"\\ud800"}', '{"symbol":"COM1","\\ud800":1}'):
        body = (
            '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-stock-price","arguments":'
            f"{arguments}}}}}"
        )
        response = await gateway.post(body.encode(), token="trader")
        assert response.status_code in (200, 400)
        assert "COM1" in response.text or "error" in response.text


async def test_a_zero_limit_price_is_the_apis_to_refuse_and_it_is_explained(gateway: Gateway) -> None:
    assert "limit_price" in await refusal(gateway, "place-order", **ORDER, limit_price="0.00")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(503, headers={"retry-after": "1"}),
        httpx.Response(201, text="<html>"),
        httpx.Response(201, json={"id": "x"}),
    ],
    ids=["500", "503", "HTML", "another shape"],
)
async def test_an_order_of_unknown_fate_is_never_called_undone(
    gateway: Gateway, answer: httpx.Response
) -> None:
    gateway.network.api = lambda _: answer
    text = await refusal(gateway, "place-order", **ORDER)
    assert "not known" in text
    assert "same idempotency_key" in text
    assert "not known" in await refusal(gateway, "cancel-order", order_id="A" * 22)


async def test_after_an_answer_that_was_lost_the_same_call_finds_the_order(gateway: Gateway) -> None:
    async def lost(request: httpx.Request) -> None:
        if request.url.path == "/orders":
            raise httpx.ReadError("cut off")

    gateway.network.before_answer = lost
    assert "not known" in await refusal(gateway, "place-order", **ORDER)
    gateway.network.before_answer = None
    assert (await content(gateway, "place-order", **ORDER))["placed_before"] is True


async def test_an_order_needs_its_own_scope_and_the_api_gets_no_more_than_that(gateway: Gateway) -> None:
    gateway.network.broker.tokens["reader"] = {"client_assurance_level": 2}
    response = await gateway.call("place-order", token="reader", **ORDER)
    assert response.status_code == 403
    assert 'scope="stocks/trade"' in response.headers["www-authenticate"]
    await content(gateway, "place-order", **ORDER)
    exchange = next(form for form in gateway.network.broker.forms if "grant_type" in form)
    assert exchange["scope"] == "stocks/trade"


def test_every_tool_says_what_it_does_to_the_world() -> None:
    for name, tool in TOOLS.items():
        definition = tool.definition
        assert definition.title
        assert len(definition.description or "") > 100
        assert definition.annotations is not None
        reads = name not in ("place-order", "cancel-order")
        assert definition.annotations.read_only_hint is reads
        assert definition.annotations.destructive_hint is not reads
        for schema in (definition.input_schema, definition.output_schema):
            assert schema is not None
            Draft202012Validator.check_schema(schema)
            assert "$ref" not in json.dumps(schema)
        assert definition.input_schema["additionalProperties"] is False
