"""`fetch-stock-prices`, `get-stock-price` and `get-price-history`."""

from typing import Annotated, Final

from mcp.types import CallToolResult, Tool, ToolAnnotations
from pydantic import Field

from mcp_gateway.caller import Caller
from mcp_gateway.documents import PriceHistory, StockPrice, schema_of
from mcp_gateway.policy import TOOL_RULES
from mcp_gateway.tools.arguments import Arguments, Limit, Symbol, reading
from mcp_gateway.tools.tool import GatewayTool, Upstream, answered

ALL: Final = "fetch-stock-prices"
ONE: Final = "get-stock-price"
HISTORY: Final = "get-price-history"

_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


class _NoArguments(Arguments):
    pass


class _OneStock(Arguments):
    symbol: Symbol


_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)


class _History(Arguments):
    symbol: Symbol
    start: Annotated[
        str | None,
        Field(
            pattern=_TIME,
            description="No price before this time (RFC 3339, with an offset)",
            examples=["2030-01-31T00:00:00Z"],
        ),
    ] = None
    end: Annotated[
        str | None,
        Field(
            pattern=_TIME,
            description="No price after this time (RFC 3339, with an offset)",
            examples=["2030-01-31T23:59:59Z"],
        ),
    ] = None
    limit: Limit = 20
    cursor: Annotated[
        str | None,
        Field(pattern=r"^[0-9]{1,15}(-[0-9]{1,9})?$", description="next_cursor of the answer before"),
    ] = None


async def _all(upstream: Upstream, caller: Caller, _: _NoArguments) -> CallToolResult:
    token = await upstream.token_for(caller, TOOL_RULES[ALL].scope)
    stocks = [stock.model_dump() for stock in await upstream.api.list_stocks(token)]
    return answered({"stocks": stocks}, text=stocks)


async def _one(upstream: Upstream, caller: Caller, given: _OneStock) -> CallToolResult:
    token = await upstream.token_for(caller, TOOL_RULES[ONE].scope)
    return answered((await upstream.api.stock(token, given.symbol)).model_dump())


async def _history(upstream: Upstream, caller: Caller, given: _History) -> CallToolResult:
    token = await upstream.token_for(caller, TOOL_RULES[HISTORY].scope)
    period = {"from": given.start, "to": given.end}
    page = {"limit": str(given.limit), "cursor": given.cursor}
    return answered((await upstream.api.history(token, given.symbol, period | page)).model_dump())


FETCH_STOCK_PRICES: Final = GatewayTool(
    Tool(
        name=ALL,
        title="Fetch stock prices",
        description=(
            "Returns the current price of every stock that the signed-in user may see. The user's region "
            "decides which stocks these are; nothing you pass changes that. Takes no arguments. Use it "
            "whenever you need prices, and call it again rather than reuse old ones: prices change. An "
            "empty list means that no stock is listed in the user's region."
        ),
        input_schema=schema_of(_NoArguments),
        output_schema={
            "type": "object",
            "properties": {"stocks": {"type": "array", "items": schema_of(StockPrice)}},
            "required": ["stocks"],
        },
        annotations=_READS,
    ),
    reading(ALL, _NoArguments, _all),
)

GET_STOCK_PRICE: Final = GatewayTool(
    Tool(
        name=ONE,
        title="Get the price of one stock",
        description=(
            "Returns the current price of one stock. Use it when you know the symbol and need that price "
            "alone, for example just before you propose an order; fetch-stock-prices lists all symbols. A "
            "stock that the user's region does not list is unknown, whether or not it exists elsewhere."
        ),
        input_schema=schema_of(_OneStock),
        output_schema=schema_of(StockPrice),
        annotations=_READS,
    ),
    reading(ONE, _OneStock, _one),
)

GET_PRICE_HISTORY: Final = GatewayTool(
    Tool(
        name=HISTORY,
        title="Get what one stock cost before",
        description=(
            "Returns the recorded prices of one stock, the latest first. Each was the price from its time "
            "until that of the one before it in the list. Only changes are recorded, so a short list means "
            "that the price seldom changed, not that something is missing. Leave start and end out for the "
            "latest; pass next_cursor as cursor for older ones."
        ),
        input_schema=schema_of(_History),
        output_schema=schema_of(PriceHistory),
        annotations=_READS,
    ),
    reading(HISTORY, _History, _history),
)
