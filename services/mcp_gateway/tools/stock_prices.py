"""`fetch-stock-prices`."""

import json
from collections.abc import Mapping
from typing import Any, Final

from mcp.types import CallToolResult, TextContent, Tool, ToolAnnotations

from mcp_gateway.caller import Caller
from mcp_gateway.policy import TOOL_RULES
from mcp_gateway.tools.tool import GatewayTool, Upstream, failed

NAME: Final = "fetch-stock-prices"

_STOCK_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The stock's symbol, such as COM1"},
        "name": {"type": "string", "description": "The company's name"},
        "region": {"type": "string", "description": "Where the stock is listed"},
        "currency": {"type": "string", "description": "Currency of the price (ISO 4217)"},
        "price": {"type": "number", "description": "The current price of one share, in that currency"},
    },
    "required": ["id", "name", "region", "currency", "price"],
}

_DEFINITION: Final = Tool(
    name=NAME,
    title="Fetch stock prices",
    description=(
        "Returns the current price of every stock that the signed-in user may see. The user's region decides "
        "which stocks these are; nothing you pass changes that. Takes no arguments. Use it whenever you need "
        "prices, and call it again rather than reuse old ones: prices change. An empty list means that "
        "no stock is listed in the user's region."
    ),
    input_schema={"type": "object", "properties": {}, "additionalProperties": False},
    output_schema={
        "type": "object",
        "properties": {"stocks": {"type": "array", "items": _STOCK_SCHEMA}},
        "required": ["stocks"],
    },
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)


async def _run(upstream: Upstream, caller: Caller, arguments: Mapping[str, Any]) -> CallToolResult:
    if arguments:
        return failed(f"{NAME} takes no arguments. Call it again with an empty object.")
    token = await upstream.token_for(caller, TOOL_RULES[NAME].scope)
    stocks = [stock.model_dump() for stock in await upstream.api.list_stocks(token)]
    # The text is the same document, for clients that know nothing of structured content.
    text = json.dumps(stocks, separators=(",", ":"))
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"stocks": stocks}
    )


FETCH_STOCK_PRICES: Final = GatewayTool(_DEFINITION, _run)
