"""The MCP server object: what agents may list and call."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    ListToolsResult,
    PaginatedRequestParams,
)

from authcore.errors import InsufficientScope, OAuthError
from mcp_gateway.approvals.gate import Answer, Gate, round_of
from mcp_gateway.caller import Caller, caller_of
from mcp_gateway.listing import SCOPES_NEEDED, marked
from mcp_gateway.policy import TOOL_RULES, Risk, Rule, verdict, visible
from mcp_gateway.prompts import Prompts
from mcp_gateway.resources import StockResources
from mcp_gateway.tools.orders import CANCEL_ORDER, LIST_ORDERS, PLACE_ORDER
from mcp_gateway.tools.stock_prices import FETCH_STOCK_PRICES, GET_PRICE_HISTORY, GET_STOCK_PRICE
from mcp_gateway.tools.tool import GatewayTool, Upstream, failed, run_tool
from mcp_gateway.upstream import UpstreamRefused, UpstreamUnavailable

logger = logging.getLogger(__name__)

TOOLS: Final[dict[str, GatewayTool]] = {
    tool.definition.name: tool
    for tool in (
        FETCH_STOCK_PRICES,
        GET_STOCK_PRICE,
        GET_PRICE_HISTORY,
        PLACE_ORDER,
        LIST_ORDERS,
        CANCEL_ORDER,
    )
}

INSTRUCTIONS: Final = (
    "Stock prices and orders on behalf of the signed-in user. Every answer is limited to what that user may "
    "see. "
    f"A tool with {SCOPES_NEEDED} in its _meta can be called as well: you will then be asked to authorize "
    "for these scopes."
)

Context = ServerRequestContext[Any, Any]


def create_server(upstream: Upstream, *, version: str, list_step_up: bool, gate: Gate | None) -> Server[Any]:
    """Return the server. It holds nothing of any request: every replica answers every request.

    Args:
        upstream: the API behind the tools.
        version: our own, for the agents to see.
        list_step_up: whether to list what a token can use only after it has asked for more scopes.
        gate: asks users; without one the tools that take their agreement do not exist.
    """

    def rule_of(name: str) -> Rule | None:
        rule = TOOL_RULES.get(name) if name in TOOLS else None
        return None if rule is None or (rule.risk is not Risk.LOW and gate is None) else rule

    async def list_tools(ctx: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        rules = {name: rule for name in TOOLS if (rule := rule_of(name)) is not None}
        needed = visible(rules, caller_of(ctx.request).token)
        tools = [
            marked(TOOLS[name].definition, scope)
            for name, scope in needed.items()
            if list_step_up or not scope
        ]
        # Private: the answer depends on the token (MCP 2026-07-28, caching).
        return ListToolsResult(tools=tools, ttl_ms=0, cache_scope="private")

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> Answer:
        caller = caller_of(ctx.request)
        rule = rule_of(params.name)
        if rule is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:80]}")
        found = verdict(rule, caller.token)
        if found.never:
            return failed(
                f"{params.name} cannot be used by this client: {found.never}. More scopes would not help; "
                "do not try again, but tell the user."
            )
        if found.step_up:
            # The guard asked for these already, unless it read another message than we did.
            caller.refusal = InsufficientScope("The operation needs more scopes", scope=found.step_up)
            return failed("Authorization failed")
        tool, arguments = TOOLS[params.name], params.arguments or {}

        async def carry_out() -> Answer:
            asked = None
            if gate is not None and rule.risk is not Risk.LOW:
                given = round_of(ctx, params)
                asked = tool.check(arguments) or await gate.settle(
                    tool.definition, rule.risk, caller.token, arguments, given
                )
            return await run_tool(tool, upstream, caller, arguments) if asked is None else asked

        return await _guarded(params.name, caller, carry_out)

    def input_schema(name: str) -> dict[str, Any] | None:
        tool = TOOLS.get(name)
        return tool.definition.input_schema if tool is not None else None

    resources = StockResources(upstream, list_step_up=list_step_up)
    prompts = Prompts(list_step_up=list_step_up)
    return Server(
        "delegant",
        version=version,
        title="Delegant MCP gateway",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resource_templates=resources.templates,
        on_list_resources=resources.list,
        on_read_resource=resources.read,
        on_list_prompts=prompts.list,
        on_get_prompt=prompts.get,
        get_tool_input_schema=input_schema,
    )


async def _guarded(name: str, caller: Caller, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
    """Run a call. Failed authorization becomes the guard's HTTP answer, a refusal of the API the model's."""
    try:
        return await carry_out()
    except MCPError:
        raise
    except OAuthError as error:
        caller.refusal = error
        return failed("Authorization failed")
    except UpstreamUnavailable as error:
        logger.warning("the API did not answer: %s", error)
        return failed("The API could not answer. Nothing was changed. Call the tool again in a few seconds.")
    except UpstreamRefused as error:
        logger.info("the API refused: %s", error)
        return failed(error.explanation)
    except Exception as error:  # noqa: BLE001  the SDK would show its text to the agent and write it into the log
        logger.error("the tool %s failed: %s", name, type(error).__name__)  # noqa: TRY400  no text
        raise MCPError(INTERNAL_ERROR, "Internal error") from None
