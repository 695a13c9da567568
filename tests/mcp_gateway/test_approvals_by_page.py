"""A call that its user has to approve on our page, seen from the agents of every era."""

import asyncio

from mcp_gateway.approvals.gate import APPROVAL_URL
from mcp_gateway.settings import Settings
from tests.mcp_gateway.approving import (
    BOTH,
    FORM,
    ORDER,
    URL,
    YES,
    answered,
    asked,
    carrying,
    changed,
    csrf_of,
    modern,
    page_in,
    person,
    text_of,
)
from tests.mcp_gateway.conftest import Calls, Gateway, approving, running
from tests.support.issuer import Clock

INVALID_PARAMS = -32602


async def test_what_commits_the_user_is_never_approved_in_the_client(asking: Gateway, order: Calls) -> None:
    text = text_of(await modern(asking, "order", capabilities=FORM))
    assert page_in(text)
    question, state = await asked(asking, "order", capabilities=BOTH)
    assert question["mode"] == "url"
    # The client says yes, and the page has not been opened.
    waiting = await modern(asking, "order", **carrying(state, YES))
    assert waiting["result"]["resultType"] == "input_required"
    assert "inputRequests" not in waiting["result"]
    assert order == []


async def test_a_client_that_opens_pages_gets_the_answer_once_the_user_has_approved_there(
    asking: Gateway, order: Calls
) -> None:
    question, state = await asked(asking, "order", capabilities=URL)
    assert "COM1" not in question["url"]
    async with person(asking) as john:
        page = page_in(question["url"])
        opened = await john.open(page)
        for shown in ("symbol", "COM1", "buy", "450.5", "agent-1"):
            assert shown in opened.text
        assert "Approved" in (await john.decide(page, "approve")).text
    carried = carrying(state, answered("accept"))
    done = await modern(asking, "order", capabilities=URL, **carried)
    assert not done["result"]["isError"]
    assert "used already" in text_of(await modern(asking, "order", capabilities=URL, **carried))
    assert order == [ORDER]


async def test_a_call_that_waits_goes_on_as_soon_as_the_user_approves(
    settings: Settings, clock: Clock, redis_url: str, order: Calls
) -> None:
    patient = approving(settings, redis_url, approval_wait_seconds=30.0)
    async with running(patient, clock) as gateway, person(gateway) as john:
        question, state = await asked(gateway, "order", capabilities=URL)
        waiting = asyncio.create_task(modern(gateway, "order", capabilities=URL, **carrying(state)))
        await john.decide(page_in(question["url"]), "approve")
        assert not (await asyncio.wait_for(waiting, 10))["result"]["isError"]
    assert order == [ORDER]


async def test_an_older_client_is_told_where_its_user_can_approve_and_then_the_same_call_succeeds_once(
    asking: Gateway, order: Calls
) -> None:
    refusal = (await asking.call("order", **ORDER)).json()
    page = page_in(text_of(refusal))
    assert refusal["result"]["_meta"][APPROVAL_URL] == "https://mcp.test" + page
    # Asking again does not ask twice.
    assert page_in(text_of((await asking.call("order", **ORDER)).json())) == page
    async with person(asking) as john:
        await john.decide(page, "approve")
    for other in (changed(quantity=6), changed(limit=451)):
        assert page_in(text_of((await asking.call("order", **other)).json())) != page
    assert order == []
    assert not (await asking.call("order", **ORDER)).json()["result"]["isError"]
    assert order == [ORDER]
    assert page_in(text_of((await asking.call("order", **ORDER)).json())) != page
    assert order == [ORDER]


async def test_an_approval_is_of_no_use_to_another_agent_or_user(asking: Gateway, order: Calls) -> None:
    asking.network.broker.tokens["other-agent"] = {"sub": "john", "client_id": "agent-2"}
    page = page_in(text_of((await asking.call("order", **ORDER)).json()))
    async with person(asking) as john:
        await john.decide(page, "approve")
    for token in ("jane", "other-agent"):
        assert page_in(text_of((await asking.call("order", token=token, **ORDER)).json())) != page
    assert order == []


async def test_a_denied_call_stays_denied_while_the_question_would_have_stood(
    asking: Gateway, order: Calls, clock: Clock
) -> None:
    page = page_in(text_of((await asking.call("order", **ORDER)).json()))
    async with person(asking) as john:
        assert "Denied" in (await john.decide(page, "deny")).text
        # The first answer holds.
        assert "Denied" in (await john.open(page)).text
    for _ in range(2):
        assert "did not approve" in text_of((await asking.call("order", **ORDER)).json())
    clock.seconds += 301
    assert page_in(text_of((await asking.call("order", **ORDER)).json())) != page
    assert order == []


async def test_an_approval_that_was_not_used_in_time_is_over(
    asking: Gateway, order: Calls, clock: Clock
) -> None:
    page = page_in(text_of((await asking.call("order", **ORDER)).json()))
    async with person(asking) as john:
        await john.decide(page, "approve")
        clock.seconds += 301
        assert page_in(text_of((await asking.call("order", **ORDER)).json())) != page
        assert (await john.open(page)).status_code == 404
    assert order == []


async def test_pressing_twice_approves_once_however_late_the_second_press(
    asking: Gateway, order: Calls
) -> None:
    question, state = await asked(asking, "order", capabilities=URL)
    page = page_in(question["url"])
    async with person(asking) as john:
        first = await john.open(page)
        await john.decide(page, "approve")
        assert not (await modern(asking, "order", **carrying(state)))["result"]["isError"]
        await john.decide(page, "approve", csrf=csrf_of(first))
    assert "used already" in text_of(await modern(asking, "order", **carrying(state)))
    assert order == [ORDER]
