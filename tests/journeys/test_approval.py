"""An order that its user has to approve: real processes, two gateways, clients of both eras."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ElicitRequestParams, ElicitRequestURLParams, ElicitResult

from demo.stack import Stack
from mcp_gateway.approvals.gate import APPROVAL_URL
from tests.support.messages import LEGACY, call_message
from tests.support.system import JANE, JOHN, System
from tests.support.trader import another_gateway, decide, read_page, trading_token

TERMS: dict[str, Any] = {"symbol": "COM1", "side": "buy", "quantity": 2, "limit_price": "460"}


@pytest.fixture
async def replica(stack: Stack) -> AsyncGenerator[str]:
    async with another_gateway(stack) as url:
        yield url + "/mcp"


async def order(http: httpx2.AsyncClient, url: str, token: str, **terms: Any) -> dict[str, Any]:
    """Place an order as a client of an earlier protocol version does; return the tool's result."""
    message = call_message("place-order", **TERMS | terms)
    response = await http.post(url, json=message, headers=LEGACY | {"authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json()["result"]


async def orders_of(http: httpx2.AsyncClient, url: str, token: str) -> list[dict[str, Any]]:
    headers = LEGACY | {"authorization": f"Bearer {token}"}
    response = await http.post(url, json=call_message("list-orders"), headers=headers)
    return response.json()["result"]["structuredContent"]["orders"]


async def test_an_older_client_asks_one_gateway_its_user_approves_at_another_and_the_order_is_placed_once(
    system: System, replica: str
) -> None:
    stack, http = system.stack, system.http
    token = await trading_token(stack, http, JOHN)
    terms = {"idempotency_key": "older-client-1"}
    refusal = await order(http, replica, token, **terms)
    assert refusal["isError"]
    url = refusal["_meta"][APPROVAL_URL]
    # Asked again, at the other one: the same question.
    assert (await order(http, stack.addresses.mcp, token, **terms))["_meta"][APPROVAL_URL] == url

    other = await read_page(stack, JANE, url)
    assert other.status == 403
    assert "COM1" not in other.text

    page = await decide(stack, JOHN, url, "approve")
    assert "Approved" in page.text
    changed = await order(http, replica, token, idempotency_key="older-client-2")
    assert changed["_meta"][APPROVAL_URL] != url
    placed = await order(http, replica, token, **terms)
    assert not placed["isError"], placed
    assert (await order(http, stack.addresses.mcp, token, **terms))["isError"]
    ids = [row["id"] for row in await orders_of(http, stack.addresses.mcp, token)]
    assert ids.count(placed["structuredContent"]["id"]) == 1


@pytest.mark.parametrize(("decision", "placed"), [("approve", True), ("deny", False)])
async def test_a_modern_client_sends_its_user_to_the_page_and_gets_the_answer(
    system: System, replica: str, decision: str, placed: bool
) -> None:
    stack = system.stack
    token = await trading_token(stack, system.http, JOHN)
    opened: list[str] = []

    async def user(_: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        opened.append(params.url)
        await decide(stack, JOHN, params.url, decision)
        return ElicitResult(action="accept")

    result = await modern_order(replica, token, user, idempotency_key=f"modern-{decision}")
    assert result.is_error is not placed
    (page,) = opened
    assert page.startswith(stack.addresses.gateway + "/approvals/")


async def test_a_client_that_says_yes_in_the_name_of_its_user_places_nothing(system: System) -> None:
    stack, http = system.stack, system.http
    token = await trading_token(stack, http, JOHN)

    async def eager(_: ClientRequestContext, __: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"approve": True})

    async with another_gateway(stack, GATEWAY_APPROVAL_WAIT_SECONDS="0") as url:
        gives_up = pytest.RaisesExc(RuntimeError, match="rounds")
        with pytest.RaisesGroup(gives_up, flatten_subgroups=True, allow_unwrapped=True):
            await modern_order(f"{url}/mcp", token, eager, quantity=77, idempotency_key="eager-client")
    orders = await orders_of(http, stack.addresses.mcp, token)
    assert 77 not in [row["quantity"] for row in orders]


async def modern_order(url: str, token: str, user: Any, **terms: Any) -> CallToolResult:
    http = httpx2.AsyncClient(
        headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=httpx2.Timeout(40)
    )
    transport = streamable_http_client(url, http_client=http)
    async with http, Client(transport, mode="2026-07-28", elicitation_callback=user) as client:
        return await client.call_tool("place-order", {**TERMS, **terms})
