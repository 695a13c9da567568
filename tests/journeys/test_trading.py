"""Orders through the whole system: agent, gateway, broker, authorization server, API."""

import asyncio
import json
import signal
from typing import Any

import httpx2

from demo.parts import STOCKS
from tests.support.eventually import eventually
from tests.support.messages import call_message
from tests.support.proven_agent import token_of
from tests.support.system import JANE, JOHN, System, payload

ORDER: dict[str, Any] = {"symbol": "COM1", "side": "buy", "quantity": 2, "idempotency_key": "journey-1"}
TRADE = "stocks/trade stocks/read"


async def call(system: System, token: str, tool: str, **arguments: Any) -> dict[str, Any]:
    response = await system.post(json.dumps(call_message(tool, **arguments)).encode(), token)
    assert response.status_code == 200, response.text
    return response.json()["result"]


async def orders(system: System, token: str) -> list[dict[str, Any]]:
    result = await call(system, token, "list-orders", limit=100)
    return result["structuredContent"]["orders"]


async def trader(system: System, email: str, *, proven: bool = True) -> str:
    return await token_of(system.stack, system.http, email, TRADE, proven=proven)


async def test_a_proven_agent_orders_for_its_user_and_for_nobody_else(system: System) -> None:
    john, jane = await trader(system, JOHN), await trader(system, JANE)
    result = await call(system, john, "place-order", **ORDER)
    assert not result["isError"], result
    placed = result["structuredContent"]
    assert (placed["status"], placed["value"]) == ("accepted", "900.44")
    assert (await call(system, john, "place-order", **ORDER))["structuredContent"]["placed_before"] is True
    assert [order["id"] for order in await orders(system, john)] == [placed["id"]]
    assert await orders(system, jane) == []
    stolen = await call(system, jane, "cancel-order", order_id=placed["id"])
    unknown = await call(system, jane, "cancel-order", order_id="A" * 22)
    assert stolen["isError"]
    assert stolen == unknown
    cancelled = await call(system, john, "cancel-order", order_id=placed["id"])
    assert cancelled["structuredContent"]["status"] == "cancelled"


async def test_an_agent_anybody_could_be_is_refused_by_the_gateway_and_by_the_api(system: System) -> None:
    token = await trader(system, JOHN, proven=False)
    result = await call(system, token, "place-order", **ORDER | {"idempotency_key": "journey-2"})
    assert result["isError"]
    assert "private_key_jwt" in result["content"][0]["text"]
    response = await at_api(system, await system.exchanged(token, scope="stocks/trade"), "journey-2")
    assert response.status_code == 403
    assert response.json()["type"] == "urn:delegant:problem:assurance-too-low"
    assert response.json()["required_level"] == 2


async def test_the_token_the_api_gets_names_the_broker_as_actor_and_the_api_insists(system: System) -> None:
    exchanged = await system.exchanged(await trader(system, JOHN), scope="stocks/trade")
    assert payload(exchanged)["act"] == {"sub": "token-broker"}
    for act in (None, {"sub": "mcp-gateway"}, {"sub": "token-broker", "act": {"sub": "somebody"}}):
        response = await at_api(system, system.forge(exchanged, act=act), "journey-3")
        assert response.json()["type"] == "urn:delegant:problem:actor-not-allowed"
    assert (await at_api(system, exchanged, "journey-3")).status_code == 201


async def test_no_confirmed_order_is_lost_and_none_is_doubled_however_the_api_dies(
    private_system: System,
) -> None:
    system, process = private_system, private_system.stack.processes[STOCKS]
    exchanged = await system.exchanged(await trader(system, JOHN), scope="stocks/trade")
    confirmed: dict[str, str] = {}
    lost = 0
    for crash in range(3):
        for number in range(10):
            key = f"crash-{crash}-{number}"
            confirmed[key] = (await at_api(system, exchanged, key)).json()["id"]
        torn = [f"torn-{crash}-{number}" for number in range(16)]
        under_way = {asyncio.create_task(at_api(system, exchanged, key)): key for key in torn}
        # Some have their answer when the process dies, the others do not know.
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        process.signal(signal.SIGKILL)
        for task, answer in zip(
            under_way, await asyncio.gather(*under_way, return_exceptions=True), strict=True
        ):
            if isinstance(answer, httpx2.Response):
                confirmed[under_way[task]] = answer.json()["id"]
            else:
                assert isinstance(answer, httpx2.HTTPError)
                lost += 1
        await eventually(lambda: not process.running)
        await system.stack.start(STOCKS)
        for key in torn:
            confirmed.setdefault(key, (await at_api(system, exchanged, key)).json()["id"])
        assert {key: (await at_api(system, exchanged, key)).json()["id"] for key in confirmed} == confirmed
    assert lost
    response = await system.http.get(
        system.stack.addresses.here(STOCKS) + "/orders?limit=100",
        headers={"authorization": f"Bearer {exchanged}"},
    )
    assert sorted(order["id"] for order in response.json()["orders"]) == sorted(confirmed.values())


async def at_api(system: System, token: str, key: str) -> httpx2.Response:
    """Place an order at the API itself, past the gateway."""
    return await system.http.post(
        system.stack.addresses.here(STOCKS) + "/orders",
        json={"stock_id": "COM1", "side": "buy", "quantity": 1},
        headers={"authorization": f"Bearer {token}", "idempotency-key": key},
    )
