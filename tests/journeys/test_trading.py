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

TRADE = "stocks/trade"


async def orders(system: System, token: str) -> list[dict[str, Any]]:
    """The user's orders, as the agent sees them."""
    body = json.dumps(call_message("list-orders", limit=100)).encode()
    result = (await system.post(body, token)).json()["result"]
    assert not result["isError"], result
    return result["structuredContent"]["orders"]


async def trader(system: System, email: str, *, proven: bool = True) -> str:
    return await token_of(system.stack, system.http, email, TRADE, proven=proven)


async def test_an_order_is_its_users_alone_through_the_whole_system(system: System) -> None:
    john, jane = await trader(system, JOHN), await trader(system, JANE)
    at_john = await system.exchanged(john, scope=TRADE)
    at_jane = await system.exchanged(jane, scope=TRADE)
    placed = (await at_api(system, at_john, "journey-1")).json()
    assert (placed["status"], placed["value"]) == ("accepted", "450.22")
    assert placed["id"] in [order["id"] for order in await orders(system, john)]
    assert placed["id"] not in [order["id"] for order in await orders(system, jane)]
    stolen = await cancelled(system, at_jane, placed["id"])
    assert stolen.status_code == 404
    assert stolen.json() == (await cancelled(system, at_jane, "A" * 22)).json()
    assert (await cancelled(system, at_john, placed["id"])).json()["status"] == "cancelled"


async def test_an_agent_anybody_could_be_is_offered_no_orders_and_the_api_names_the_rule(
    system: System,
) -> None:
    token = await trader(system, JOHN, proven=False)
    listed = await system.post(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', token)
    names = {tool["name"] for tool in listed.json()["result"]["tools"]}
    assert "list-orders" in names
    assert not {"place-order", "cancel-order"} & names
    response = await at_api(system, await system.exchanged(token, scope=TRADE), "journey-2")
    assert response.status_code == 403
    assert response.json()["type"] == "urn:delegant:problem:assurance-too-low"
    assert response.json()["required_level"] == 2


async def test_the_token_the_api_gets_names_every_actor_and_the_api_insists(system: System) -> None:
    exchanged = await system.exchanged(await trader(system, JOHN), scope=TRADE)
    assert payload(exchanged)["act"] == {"sub": "mcp-gateway", "act": {"sub": "token-broker"}}
    somebody = {"sub": "somebody"}
    for act in (None, somebody, {"sub": "mcp-gateway", "act": somebody}):
        response = await at_api(system, system.forge(exchanged, act=act), "journey-3")
        assert response.json()["type"] == "urn:delegant:problem:actor-not-allowed"
    assert (await at_api(system, exchanged, "journey-3")).status_code == 201


async def test_no_confirmed_order_is_lost_and_none_is_doubled_however_the_api_dies(
    private_system: System,
) -> None:
    system, process = private_system, private_system.stack.processes[STOCKS]
    exchanged = await system.exchanged(await trader(system, JOHN), scope=TRADE)
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


async def cancelled(system: System, token: str, order_id: str) -> httpx2.Response:
    """Cancel an order at the API itself."""
    url = f"{system.stack.addresses.here(STOCKS)}/orders/{order_id}"
    return await system.http.delete(url, headers={"authorization": f"Bearer {token}"})
