"""The MCP server object: what agents may list and call."""

import logging
from typing import Any, Final

from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from authcore.errors import InvalidToken, OAuthError
from mcp_gateway.caller import Caller, caller_of
from mcp_gateway.policy import usable
from mcp_gateway.tools.stock_prices import FETCH_STOCK_PRICES
from mcp_gateway.tools.tool import GatewayTool, Upstream, failed
from mcp_gateway.upstream import UpstreamRefused, UpstreamUnavailable

logger = logging.getLogger(__name__)

TOOLS: Final[dict[str, GatewayTool]] = {tool.definition.name: tool for tool in (FETCH_STOCK_PRICES,)}

INSTRUCTIONS: Final = (
    "Stock prices on behalf of the signed-in user. Every answer is limited to what that user may see."
)

Context = ServerRequestContext[Any, Any]


def create_server(upstream: Upstream, *, version: str) -> Server[Any]:
    """Return the server. It holds nothing of any request: every replica answers every request."""

    async def list_tools(ctx: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        granted = caller_of(ctx.request).token.scope
        tools = [TOOLS[name].definition for name in sorted(TOOLS) if usable(name, granted)]
        # Private: the answer depends on the token (MCP 2026-07-28, caching).
        return ListToolsResult(tools=tools, ttl_ms=0, cache_scope="private")

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        caller = caller_of(ctx.request)
        tool = TOOLS.get(params.name)
        # A tool without a rule is unknown, however it got into the table: the guard has let it pass.
        if tool is None or not usable(params.name, caller.token.scope):
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:80]}")
        return await _guarded(tool, upstream, caller, params.arguments or {})

    def input_schema(name: str) -> dict[str, Any] | None:
        tool = TOOLS.get(name)
        return tool.definition.input_schema if tool is not None else None

    return Server(
        "delegant",
        version=version,
        title="Delegant MCP gateway",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=input_schema,
    )


async def _guarded(
    tool: GatewayTool, upstream: Upstream, caller: Caller, arguments: dict[str, Any]
) -> CallToolResult:
    """Run a tool. Failed authorization becomes the guard's HTTP answer, a refusal of the API the model's."""
    try:
        return await tool.run(upstream, caller, arguments)
    except OAuthError as error:
        caller.refusal = error
        return failed("Authorization failed")
    except UpstreamUnavailable as error:
        logger.warning("the API did not answer: %s", error)
        return failed("The API could not answer. Nothing was changed. Call the tool again in a few seconds.")
    except UpstreamRefused as error:
        logger.info("the API refused: %s", error)
        if error.status == 401:
            # Our exchanged token is good for nothing any more: the agent has to authorize again.
            caller.refusal = InvalidToken("The API no longer accepts the delegation")
        return failed(f"The API refused ({error.status}): {error.detail}")
    except Exception as error:  # noqa: BLE001  the SDK would show its text to the agent and write it into the log
        logger.error("the tool %s failed: %s", tool.definition.name, type(error).__name__)  # noqa: TRY400  no text
        raise MCPError(INTERNAL_ERROR, "Internal error") from None
