"""What an agent gets from the tools."""

import asyncio
import json
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from mcp_gateway.listing import SCOPES_NEEDED
from mcp_gateway.policy import TOOL_RULES
from mcp_gateway.server import TOOLS
from mcp_gateway.tools.tool import GatewayTool
from tests.mcp_gateway.conftest import API, Gateway
from tests.support.messages import MODERN, call_message

USA = {"COM1": 450.22, "COM4": 180.75}
EUROPE = {"COM2": 250.62, "COM3": 21.07}


def prices(response: httpx.Response) -> dict[str, float]:
    result = response.json()["result"]
    assert not result["isError"]
    return {stock["id"]: stock["price"] for stock in result["structuredContent"]["stocks"]}


async def test_each_user_gets_the_prices_of_his_region_and_no_others(gateway: Gateway) -> None:
    assert prices(await gateway.call("fetch-stock-prices", token="john")) == USA
    assert prices(await gateway.call("fetch-stock-prices", token="jane")) == EUROPE


async def test_the_text_is_the_apis_own_document(gateway: Gateway) -> None:
    result = (await gateway.call("fetch-stock-prices")).json()["result"]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]["stocks"]


async def test_an_unknown_region_gets_an_empty_list(gateway: Gateway) -> None:
    gateway.network.broker.tokens["mars"] = {"region": "Mars"}
    assert prices(await gateway.call("fetch-stock-prices", token="mars")) == {}


async def test_no_argument_widens_what_is_seen(gateway: Gateway) -> None:
    result = (await gateway.call("fetch-stock-prices", region="Europe")).json()["result"]
    assert result["isError"]
    assert "The arguments are: none" in result["content"][0]["text"]


@pytest.mark.requirement("no-passthrough")
async def test_the_api_gets_another_token_than_the_agents(gateway: Gateway) -> None:
    await gateway.call("fetch-stock-prices")
    (request,) = gateway.network.api_requests
    assert "john" not in request.headers["authorization"]
    exchange = next(form for form in gateway.network.broker.forms if "grant_type" in form)
    assert (exchange["audience"], exchange["scope"]) == (API, "stocks/read")


async def test_concurrent_calls_of_one_token_exchange_once(gateway: Gateway) -> None:
    responses = await asyncio.gather(*(gateway.call("fetch-stock-prices") for _ in range(50)))
    assert all(prices(response) == USA for response in responses)
    assert gateway.network.broker.introspections == 1
    assert gateway.network.broker.exchanges == 1


@pytest.mark.requirement("tools-list-private")
async def test_the_list_holds_what_this_token_may_use(gateway: Gateway) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": modern_meta()}}
    headers = MODERN | {"mcp-method": "tools/list"}
    listed = (await gateway.post(message, headers=headers)).json()["result"]
    usable = [tool["name"] for tool in listed["tools"] if SCOPES_NEEDED not in tool.get("_meta", {})]
    assert usable == ["fetch-stock-prices", "get-price-history", "get-stock-price"]
    assert listed["cacheScope"] == "private"


def modern_meta() -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }


@pytest.mark.requirement("unknown-tool")
async def test_an_unknown_tool_is_an_invalid_params_error(gateway: Gateway) -> None:
    response = await gateway.call("no-such-tool")
    assert response.json()["error"]["code"] == -32602


async def test_a_token_that_dies_during_the_call_is_challenged_in_http(gateway: Gateway) -> None:
    await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    gateway.network.broker.tokens.clear()
    response = await gateway.call("fetch-stock-prices")
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_broker_that_fails_during_the_call_is_503(gateway: Gateway) -> None:
    await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    gateway.network.broker.answer = lambda _: httpx.Response(503)
    response = await gateway.call("fetch-stock-prices")
    assert response.status_code == 503
    assert "retry-after" in response.headers


async def test_a_token_that_the_api_no_longer_takes_is_replaced_and_the_agent_does_not_notice(
    gateway: Gateway,
) -> None:
    assert prices(await gateway.call("fetch-stock-prices")) == USA
    dead = gateway.network.api_requests[0].headers["authorization"]
    stocks, network = httpx.ASGITransport(gateway.network.stocks), gateway.network

    async def refuse_the_dead(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == dead:
            return httpx.Response(401)
        return await stocks.handle_async_request(request)

    network.api = refuse_the_dead
    network.clock.seconds += 1
    for _ in range(3):
        assert prices(await gateway.call("fetch-stock-prices")) == USA
    assert network.broker.exchanges == 2
    assert [headers.get("cache-control") for headers in network.broker.headers[-1:]] == ["no-cache"]


async def test_an_api_that_takes_no_token_is_challenged_in_http_after_one_more_try(gateway: Gateway) -> None:
    gateway.network.api = lambda _: httpx.Response(401)
    assert (await gateway.call("fetch-stock-prices")).status_code == 401
    assert (gateway.network.broker.exchanges, len(gateway.network.api_requests)) == (2, 2)


async def test_a_delegation_that_has_ended_by_then_is_challenged_and_the_api_not_asked_again(
    gateway: Gateway,
) -> None:
    await gateway.call("fetch-stock-prices")
    del gateway.network.broker.tokens["john"]
    gateway.network.api = lambda _: httpx.Response(401)
    assert (await gateway.call("fetch-stock-prices")).status_code == 401
    assert len(gateway.network.api_requests) == 2


async def test_a_refusal_names_the_rule_and_what_would_help(gateway: Gateway) -> None:
    problem = {"type": "urn:delegant:problem:order-limit", "detail": "Order less, or ask the user to."}
    gateway.network.api = lambda _: httpx.Response(
        403, json=problem, headers={"content-type": "application/problem+json"}
    )
    result = (await gateway.call("fetch-stock-prices")).json()["result"]
    assert result["isError"]
    assert result["content"][0]["text"] == (
        "The API refused (403) by the rule urn:delegant:problem:order-limit: Order less, or ask the user to."
    )


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"stocks": []}),
        httpx.Response(200, json=[1]),
        httpx.Response(200, text='[{"id":"A","name":"A","region":"A","currency":"A","price":NaN}]'),
        httpx.Response(200, text='["\\ud800"]'),
        httpx.Response(200, text="[" * 100_000),
    ],
    ids=["500", "HTML", "another shape", "not stocks", "NaN", "half a character", "nested without end"],
)
async def test_an_api_in_trouble_is_an_error_the_model_may_retry(
    gateway: Gateway, answer: httpx.Response
) -> None:
    gateway.network.api = lambda _: answer
    result = (await gateway.call("fetch-stock-prices")).json()["result"]
    assert result["isError"]
    assert "again" in result["content"][0]["text"]


async def test_a_refusal_of_the_api_reaches_the_model_in_the_apis_words(gateway: Gateway) -> None:
    gateway.network.broker.tokens["bare"] = {"client_assurance_level": None}
    result = (await gateway.call("fetch-stock-prices", token="bare")).json()["result"]
    assert result["isError"]
    assert "client_assurance_level" in result["content"][0]["text"]


async def test_a_tool_that_breaks_tells_the_agent_nothing_of_why(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object) -> CallToolResult:
        raise RuntimeError("planted")

    tool = TOOLS["fetch-stock-prices"]
    monkeypatch.setitem(TOOLS, "fetch-stock-prices", GatewayTool(tool.definition, breaks))
    for headers in (None, MODERN | {"mcp-method": "tools/call", "mcp-name": "fetch-stock-prices"}):
        message = call_message("fetch-stock-prices")
        message["params"]["_meta"] = modern_meta()
        response = await gateway.post(message, headers=headers)
        assert response.json()["error"]["code"] == -32603
        assert "planted" not in response.text + caplog.text


async def test_a_tool_without_a_rule_is_unknown(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "no-rule", TOOLS["fetch-stock-prices"])
    assert (await gateway.call("no-rule")).json()["error"]["code"] == -32602
    assert gateway.network.api_requests == []


def test_every_tool_has_a_rule_and_every_rule_a_tool() -> None:
    assert set(TOOLS) == set(TOOL_RULES)


@pytest.mark.requirement("both-eras")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_the_official_client_of_every_era_lists_and_calls(gateway: Gateway, mode: str) -> None:
    http = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(gateway.app), headers={"authorization": "Bearer jane"}
    )
    async with (
        http,
        Client(streamable_http_client("https://mcp.test/mcp", http_client=http), mode=mode) as client,
    ):
        tools = (await client.list_tools()).tools
        result = await client.call_tool(tools[0].name, {})
    assert result.structured_content is not None
    assert {stock["id"]: stock["price"] for stock in result.structured_content["stocks"]} == EUROPE


@pytest.mark.requirement("routing-headers")
async def test_a_modern_call_whose_headers_disagree_with_the_body_is_refused(gateway: Gateway) -> None:
    message = call_message("fetch-stock-prices")
    message["params"]["_meta"] = modern_meta()
    headers = MODERN | {"mcp-method": "tools/call", "mcp-name": "another-tool"}
    response = await gateway.post(message, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)
