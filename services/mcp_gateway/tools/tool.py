"""What a tool is to the server: how it is described, and what runs."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import CallToolResult, TextContent, Tool

from authcore.errors import InvalidToken
from mcp_gateway.broker import Broker
from mcp_gateway.caller import Caller
from mcp_gateway.upstream import StocksApi, UpstreamRefused


@dataclass(frozen=True, slots=True)
class Upstream:
    """The API, and how to get a token for it."""

    api: StocksApi
    audience: str
    broker: Broker

    async def token_for(self, caller: Caller, scope: frozenset[str]) -> str:
        """Return a token for the API that can do no more than `scope` for this caller.

        Raises:
            InvalidToken: the caller's token died in the meantime.
            TemporarilyUnavailable: nobody could say.
        """
        answer = await self.broker.exchange(
            caller.presented.token, audience=self.audience, scope=scope, fresh=caller.distrusted
        )
        # The broker need not have been asked before, when the agent came with a JWT.
        caller.delegation = caller.delegation or answer.delegation
        return answer.jwt


Check = Callable[[Mapping[str, Any]], CallToolResult | None]
"""Returns what is wrong with the arguments, before anybody is asked to agree to them."""

Run = Callable[[Upstream, Caller, Mapping[str, Any]], Awaitable[CallToolResult]]


@dataclass(frozen=True, slots=True)
class GatewayTool:
    """A tool's public description and its code. `run` checks its arguments too."""

    definition: Tool
    run: Run
    check: Check = lambda _: None


def answered(document: dict[str, Any], *, text: object = None) -> CallToolResult:
    """Return a result whose text is the same document, for clients that know nothing of structured content.

    Args:
        document: what the output schema describes.
        text: what to write there instead, as JSON.
    """
    written = json.dumps(document if text is None else text, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=written)], structured_content=document)


async def run_tool(
    tool: GatewayTool, upstream: Upstream, caller: Caller, arguments: Mapping[str, Any]
) -> CallToolResult:
    """Run a tool, a second time with a new token if the API no longer takes the one we had.

    What the API answers with 401 it has not carried out, so the second time is the first.

    Raises:
        InvalidToken: the agent's token is dead, or the API does not take the new one either.
        TemporarilyUnavailable: nobody could say.
        UpstreamRefused: the API said no.
        UpstreamUnavailable: it said nothing.
    """
    try:
        return await tool.run(upstream, caller, arguments)
    except UpstreamRefused as error:
        if error.status != 401:
            raise
    caller.distrusted = True
    try:
        return await tool.run(upstream, caller, arguments)
    except UpstreamRefused as error:
        if error.status == 401:
            raise InvalidToken("The API no longer accepts the delegation") from None
        raise


def failed(text: str) -> CallToolResult:
    """Return an error result whose text tells the model what to do next."""
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
