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
from demo.story import TOOL, USERS, User, check_authorization, check_refusal, rows_of
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


async def test_an_agent_whose_user_cancels_is_told_and_gets_nothing(stack: Stack) -> None:
    user = Visitor(USERS[0].email, partial(newest_password, stack.addresses.inbox), decision="cancel")
    with pytest.raises(NotAuthorizedError, match="access_denied"):
        async with connected_agent(stack.addresses.mcp, user):
            pass
    assert user.consent_text is not None
    assert "Demo agent" in user.consent_text
