"""An agent that needs more than it was allowed asks its user for the rest, and its call is answered."""

from functools import partial

from demo.agent import connected_agent
from demo.browser import Visitor
from demo.inbox import newest_password
from demo.stack import Stack
from demo.story import TOOL, USERS, rows_of
from demo.wire import Exchange
from mcp_gateway.listing import SCOPES_NEEDED

BOTH = {"stocks/read", "stocks/trade"}


async def test_the_python_client_follows_a_step_up_and_its_call_is_answered(stack: Stack) -> None:
    exchanges: list[Exchange] = []
    user = Visitor(USERS[0].email, partial(newest_password, stack.addresses.inbox))
    async with connected_agent(stack.addresses.mcp, user, on_exchange=exchanges.append) as agent:
        tools = {tool.name: tool.meta or {} for tool in (await agent.client.list_tools()).tools}
        assert tools["list-orders"][SCOPES_NEEDED] == ["stocks/trade"]
        # The agent has no key of its own: no scope would let it place an order.
        assert "place-order" not in tools
        assert user.consent_text is not None
        assert "See the current prices" in user.consent_text
        assert "Prepare orders" not in user.consent_text
        assert not (await agent.client.call_tool("list-orders", {})).is_error
        assert "place each one that you approve new" in user.consent_text
        assert "See the current prices of the stocks of your region new" not in user.consent_text
        assert agent.wallet.tokens is not None
        assert set((agent.wallet.tokens.scope or "").split()) == BOTH
        # What it could do before it still can, and nobody is asked a third time.
        assert rows_of(await agent.client.call_tool(TOOL))
        assert len(agent.responses) == 2
        tools = {tool.name: tool.meta or {} for tool in (await agent.client.list_tools()).tools}
        assert SCOPES_NEEDED not in tools["list-orders"]
    refused = [exchange for exchange in exchanges if exchange.status == 403]
    assert len(refused) == 1
    assert 'scope="stocks/trade"' in refused[0].response_headers["www-authenticate"]
