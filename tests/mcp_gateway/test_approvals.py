"""A call that takes its user's agreement: asked for by form, given once, used once, over all replicas."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from authcore.events import DECISIONS
from mcp_gateway.policy import TOOL_RULES, Risk, Rule
from mcp_gateway.settings import Settings
from tests.mcp_gateway.approving import (
    FORM,
    ORDER,
    YES,
    answered,
    asked,
    carrying,
    changed,
    modern,
    page_in,
    person,
    text_of,
)
from tests.mcp_gateway.conftest import KEY, Calls, Gateway, Plant, approving, running
from tests.support.issuer import Clock
from tests.support.redis_contents import RedisContents
from tests.support.redis_server import RedisServer

INVALID_PARAMS = -32602


async def test_a_client_with_forms_asks_its_user_and_the_call_is_carried_out(
    asking: Gateway, undo: Calls
) -> None:
    question, state = await asked(asking, "undo", capabilities=FORM)
    for shown in ("symbol: COM1", "side: buy", "quantity: 5", "limit: 450.5"):
        assert shown in question["message"]
    assert undo == []
    done = await modern(asking, "undo", capabilities=FORM, **carrying(state, YES))
    assert not done["result"]["isError"]
    assert undo == [ORDER]


async def test_an_approval_is_good_for_one_call(asking: Gateway, undo: Calls) -> None:
    _, state = await asked(asking, "undo")
    again = carrying(state, YES)
    results = await asyncio.gather(*(modern(asking, "undo", **again) for _ in range(20)))
    assert sum(not result["result"]["isError"] for result in results) == 1
    assert "used already" in text_of(await modern(asking, "undo", **again))
    assert undo == [ORDER]


@pytest.mark.parametrize(
    "responses",
    [
        answered("decline"),
        answered("cancel"),
        answered("accept"),
        answered("accept", approve=False),
        answered("accept", approve="true"),
        answered("decline", approve=True),
        {"another": {"action": "accept", "content": {"approve": True}}},
        {},
        None,
    ],
    ids=str,
)
async def test_anything_but_a_plain_yes_is_no(
    asking: Gateway, undo: Calls, responses: dict[str, Any] | None
) -> None:
    _, state = await asked(asking, "undo")
    refusal = await modern(asking, "undo", **carrying(state, responses))
    assert "did not approve" in text_of(refusal)
    assert undo == []


@pytest.mark.requirement("request-state")
@pytest.mark.parametrize(
    "difference",
    [
        {"arguments": changed(quantity=500)},
        {"arguments": {name: ORDER[name] for name in ("symbol", "side", "quantity")}},
        {"arguments": changed(quantity="5")},
        {"token": "jane"},
        {"token": "john-again"},
        {"token": "john-elsewhere"},
        {"tool": "undo-other"},
    ],
    ids=["quantity", "no limit", "type", "user", "delegation", "client", "tool"],
)
async def test_what_was_agreed_to_is_what_is_done_by_whom_it_was_asked(
    asking: Gateway, undo: Calls, plant: Plant, difference: dict[str, Any]
) -> None:
    other = plant("undo-other", Rule(scope=frozenset({"stocks/read"}), risk=Risk.MEDIUM))
    tokens = asking.network.broker.tokens
    tokens["john-again"] = tokens["john"] | {"delegationId": "d-later"}
    tokens["john-elsewhere"] = tokens["john"] | {"client_id": "agent-2"}
    _, state = await asked(asking, "undo")
    call: dict[str, Any] = {"tool": "undo"} | carrying(state, YES) | difference
    response = await modern(asking, **call)
    assert response["error"]["code"] == INVALID_PARAMS
    assert undo == other == []


@pytest.mark.requirement("request-state")
@pytest.mark.parametrize("spoilt", ["", "v1.", "x" * 100, "{}", "flipped", "cut", "é", "x" * 70_000])
async def test_a_state_that_we_did_not_seal_is_refused(asking: Gateway, undo: Calls, spoilt: str) -> None:
    _, state = await asked(asking, "undo")
    middle = len(state) // 2
    flipped = state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]
    sent = {"flipped": flipped, "cut": state[:-4]}.get(spoilt, spoilt)
    response = await modern(asking, "undo", **carrying(sent, YES))
    assert response["error"]["code"] == INVALID_PARAMS
    assert undo == []


@pytest.mark.requirement("request-state")
async def test_a_state_ends(asking: Gateway, undo: Calls, clock: Clock) -> None:
    _, state = await asked(asking, "undo")
    clock.seconds += 300
    response = await modern(asking, "undo", **carrying(state, YES))
    assert response["error"]["code"] == INVALID_PARAMS
    assert undo == []


async def test_keys_rotate_without_a_refused_approval(
    settings: Settings, clock: Clock, redis_url: str, undo: Calls
) -> None:
    async with running(approving(settings, redis_url), clock) as before:
        _, state = await asked(before, "undo")
    new = "B" * 42 + "A"
    ring = SecretStr(f"{new},{KEY}")
    async with running(approving(settings, redis_url, state_key=ring), clock) as after:
        done = await modern(after, "undo", **carrying(state, YES))
        assert not done["result"]["isError"]
    async with running(approving(settings, redis_url, state_key=SecretStr(new)), clock) as much_later:
        response = await modern(much_later, "undo", **carrying(state, YES))
        assert response["error"]["code"] == INVALID_PARAMS
    assert undo == [ORDER]


@pytest.mark.requirement("request-state")
async def test_replicas_without_stickiness_share_everything(
    settings: Settings, clock: Clock, redis_url: str, order: Calls, undo: Calls
) -> None:
    shared = approving(settings, redis_url)
    async with running(shared, clock) as one, running(shared, clock) as two:
        page = page_in(text_of((await one.call("order", **ORDER)).json()))
        async with person(two) as john:
            await john.decide(page, "approve")
        calls = [(one if number % 2 else two).call("order", **ORDER) for number in range(20)]
        results = [response.json()["result"] for response in await asyncio.gather(*calls)]
        assert sum(not result["isError"] for result in results) == 1
        _, state = await asked(one, "undo")
        carried = carrying(state, YES)
        both = await asyncio.gather(modern(one, "undo", **carried), modern(two, "undo", **carried))
        assert sum(not result["result"]["isError"] for result in both) == 1
    assert (order, undo) == ([ORDER], [ORDER])


async def test_while_redis_is_away_nothing_is_asked_approved_or_done(
    settings: Settings, clock: Clock, own_redis: RedisServer, order: Calls, undo: Calls
) -> None:
    async with running(approving(settings, own_redis.url), clock) as gateway, person(gateway) as john:
        page = page_in(text_of((await gateway.call("order", **ORDER)).json()))
        await john.decide(page, "approve")
        own_redis.stop()
        response = await gateway.call("order", **ORDER)
        assert response.status_code == 503
        assert "retry-after" in response.headers
        opened = await john.http.get(page)
        assert opened.status_code == 503
        assert "retry-after" in opened.headers
    assert order == undo == []


async def test_without_anybody_to_ask_tools_that_take_approval_do_not_exist(
    gateway: Gateway, order: Calls, undo: Calls
) -> None:
    for tool in ("order", "undo"):
        assert (await gateway.call(tool)).json()["error"]["code"] == INVALID_PARAMS
    listed = (await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).json()["result"]
    assert not {"order", "undo"} & {tool["name"] for tool in listed["tools"]}
    assert (await gateway.http.get("/approvals/" + "a" * 32)).status_code == 404
    assert order == undo == []


async def test_every_step_is_recorded_and_redis_holds_neither_user_nor_arguments_in_the_clear(
    asking: Gateway, order: Calls, undo: Calls, redis: RedisContents
) -> None:
    arguments = changed(symbol="PLANTED")
    asking.network.broker.tokens["carol"] = {"sub": "carol-subject", "delegationId": "d-carol"}
    page = page_in(text_of((await asking.call("order", token="carol", **arguments)).json()))
    async with person(asking, "carol-subject") as carol:
        await carol.decide(page, "approve")
    await asking.call("order", token="carol", **arguments)
    _, state = await asked(asking, "undo", token="carol")
    await modern(asking, "undo", token="carol", **carrying(state, YES))
    steps = [(entry["tool"], entry["outcome"], entry["by"]) for entry in redis.stream(DECISIONS)]
    page_client = "gateway-approvals"
    assert steps == [
        ("order", "asked", "agent-1"),
        ("order", "approved", page_client),
        ("order", "used", "agent-1"),
        ("undo", "approved", "agent-1"),
        ("undo", "used", "agent-1"),
    ]
    contents = redis.dump()
    for secret in (b"PLANTED", b"carol"):
        assert secret not in contents
    assert all(redis.ttl(key) > 0 for key in redis.matching("approvals:*"))


async def test_arguments_that_nobody_would_read_are_not_put_to_the_user(
    asking: Gateway, order: Calls
) -> None:
    text = text_of((await asking.call("order", note="x" * 5000)).json())
    assert "longer than a person" in text
    assert order == []


async def test_a_token_that_names_no_client_cannot_be_approved_for(asking: Gateway, order: Calls) -> None:
    asking.network.broker.tokens["nameless"] = {"client_id": None}
    assert "does not name the client" in text_of((await asking.call("order", token="nameless")).json())
    assert order == []


async def test_an_order_is_placed_once_its_user_has_approved_it_and_a_wrong_one_is_not_put_to_anybody(
    asking: Gateway,
) -> None:
    proven = {"sub": "john", "scope": "stocks/trade", "client_assurance_level": 2, "region": "USA"}
    asking.network.broker.tokens["trader"] = proven
    terms: dict[str, Any] = {
        "symbol": "COM1",
        "side": "buy",
        "quantity": 2,
        "idempotency_key": "11111111-aaaa",
    }
    wrong = text_of((await asking.call("place-order", token="trader", **terms | {"quantity": 0})).json())
    assert "approv" not in wrong
    page = page_in(text_of((await asking.call("place-order", token="trader", **terms)).json()))
    assert asking.network.api_requests == []
    async with person(asking) as john:
        opened = await john.open(page)
        assert "Place an order" in opened.text
        await john.decide(page, "approve")
    placed = (await asking.call("place-order", token="trader", **terms)).json()["result"]
    assert placed["structuredContent"]["quantity"] == 2
    question, _ = await asked(
        asking, "cancel-order", token="trader", arguments={"order_id": placed["structuredContent"]["id"]}
    )
    assert placed["structuredContent"]["id"] in question["message"]


async def test_a_rule_that_became_stricter_holds_for_what_was_asked_before(
    asking: Gateway, undo: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = await asked(asking, "undo")
    monkeypatch.setitem(TOOL_RULES, "undo", Rule(scope=frozenset({"stocks/read"}), risk=Risk.HIGH))
    response = await modern(asking, "undo", **carrying(state, YES))
    assert response["error"]["code"] == INVALID_PARAMS
    assert undo == []
