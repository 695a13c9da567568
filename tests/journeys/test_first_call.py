from functools import partial

import pytest

from demo.agent import Agent, NotAuthorizedError, connected_agent
from demo.browser import Visitor
from demo.inbox import newest_password
from demo.narration import (
    CALL,
    CONNECTED,
    LOGIN,
    REFUSED,
    REGISTERED,
    RESOURCE,
    SERVER,
    TOKEN,
    TOOLS,
    step_of,
)
from demo.stack import Stack
from demo.story import TOOL, USERS, User, check_authorization, check_refusal, exchanges_seen, rows_of
from demo.wire import Exchange


def visitor(stack: Stack, user: User) -> Visitor:
    return Visitor(user.email, partial(newest_password, stack.addresses.inbox))


async def stocks_of(agent: Agent) -> dict[str, str]:
    return {row["id"]: row["region"] for row in rows_of(await agent.client.call_tool(TOOL))}


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.region)
async def test_an_agent_that_knows_only_the_url_gets_the_stocks_of_its_users_region(
    stack: Stack, user: User
) -> None:
    exchanges: list[Exchange] = []
    async with connected_agent(
        stack.addresses.mcp, visitor(stack, user), on_exchange=exchanges.append
    ) as agent:
        check_refusal(exchanges)
        check_authorization(agent, stack.addresses)
        assert TOOL in [tool.name for tool in (await agent.client.list_tools()).tools]
        assert await stocks_of(agent) == dict.fromkeys(user.stocks, user.region)
    steps = list(dict.fromkeys(step_of(exchange) for exchange in exchanges))
    assert steps == [REFUSED, RESOURCE, SERVER, REGISTERED, LOGIN, TOKEN, CONNECTED, TOOLS, CALL]


async def test_many_calls_of_one_delegation_take_one_token_exchange(stack: Stack) -> None:
    before = await exchanges_seen(stack.addresses)
    async with connected_agent(stack.addresses.mcp, visitor(stack, USERS[0])) as agent:
        for _ in range(5):
            await stocks_of(agent)
    assert await exchanges_seen(stack.addresses) == before + 1


async def test_an_agent_whose_user_cancels_is_told_and_gets_nothing(stack: Stack) -> None:
    user = Visitor(USERS[0].email, partial(newest_password, stack.addresses.inbox), decision="cancel")
    with pytest.raises(NotAuthorizedError, match="access_denied"):
        async with connected_agent(stack.addresses.mcp, user):
            pass
    assert user.consent_text is not None
    assert "Demo agent" in user.consent_text


async def test_no_token_reaches_a_log(stack: Stack) -> None:
    async with connected_agent(stack.addresses.mcp, visitor(stack, USERS[1])) as agent:
        await stocks_of(agent)
        tokens = agent.wallet.tokens
    assert tokens is not None
    codes = [response.code for response in agent.responses]
    for part in stack.processes.values():
        log = part.log.read_text()
        assert tokens.access_token not in log
        assert not any(code in log for code in codes if code is not None)
        assert "eyJ" not in log


async def test_a_part_that_was_away_is_found_again(private_stack: Stack) -> None:
    async with connected_agent(private_stack.addresses.mcp, visitor(private_stack, USERS[0])) as agent:
        await private_stack.stop("stocks")
        assert (await agent.client.call_tool(TOOL)).is_error
        await private_stack.start("stocks")
        assert set(await stocks_of(agent)) == USERS[0].stocks
