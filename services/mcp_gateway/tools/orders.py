"""`place-order`, `list-orders` and `cancel-order`."""

from typing import Annotated, Final, Literal

from mcp.types import CallToolResult, Tool, ToolAnnotations
from pydantic import Field

from mcp_gateway.caller import Caller
from mcp_gateway.documents import Order, OrderPage, PlacedOrder, schema_of
from mcp_gateway.policy import TOOL_RULES
from mcp_gateway.tools.arguments import Arguments, Limit, Symbol, checking, reading
from mcp_gateway.tools.tool import GatewayTool, Upstream, answered, failed
from mcp_gateway.upstream import UpstreamUnavailable

PLACE: Final = "place-order"
LIST: Final = "list-orders"
CANCEL: Final = "cancel-order"

OrderId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The order's id, as list-orders has it")
]


class _Order(Arguments):
    symbol: Symbol
    side: Annotated[
        Literal["buy", "sell"],
        Field(description="Whether the user wants to buy or to sell", examples=["buy"]),
    ]
    quantity: Annotated[
        int, Field(ge=1, le=1_000_000, description="How many whole shares, as a number", examples=[2])
    ]
    idempotency_key: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9._-]{8,64}$",
            description="A value you make up for this order: a new random UUID. The same value again never "
            "orders twice: repeat it if you had no answer, and take a new one for every other order",
        ),
    ]
    limit_price: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?$",
            description="The most to pay, or the least to take, for one share, in the stock's currency, as "
            "a string of digits; leave it out to order at the market's price",
            examples=["440.50"],
        ),
    ] = None


class _Page(Arguments):
    limit: Limit = 20
    cursor: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="next_cursor of the answer before"),
    ] = None


class _OneOrder(Arguments):
    order_id: OrderId


async def _place(upstream: Upstream, caller: Caller, given: _Order) -> CallToolResult:
    token = await upstream.token_for(caller, TOOL_RULES[PLACE].scope)
    terms = {
        "stock_id": given.symbol,
        "side": given.side,
        "quantity": given.quantity,
        "limit_price": given.limit_price,
    }
    try:
        order = await upstream.api.place_order(token, terms, idempotency_key=given.idempotency_key)
    except UpstreamUnavailable:
        # It may have arrived all the same: "nothing was changed" could be a lie.
        return failed(
            "It is not known whether the order was placed. Call place-order again in a few seconds with the "
            "same arguments and the same idempotency_key: it is not ordered twice, and you learn what "
            "became of it."
        )
    return answered(order.model_dump())


async def _list(upstream: Upstream, caller: Caller, given: _Page) -> CallToolResult:
    token = await upstream.token_for(caller, TOOL_RULES[LIST].scope)
    page = await upstream.api.list_orders(token, {"limit": str(given.limit), "cursor": given.cursor})
    return answered(page.model_dump())


async def _cancel(upstream: Upstream, caller: Caller, given: _OneOrder) -> CallToolResult:
    token = await upstream.token_for(caller, TOOL_RULES[CANCEL].scope)
    try:
        order = await upstream.api.cancel_order(token, given.order_id)
    except UpstreamUnavailable:
        return failed(
            "It is not known whether the order was cancelled. Call cancel-order again in a few seconds: "
            "cancelling twice does no harm."
        )
    return answered(order.model_dump())


PLACE_ORDER: Final = GatewayTool(
    Tool(
        name=PLACE,
        title="Place an order",
        description=(
            "Orders shares for the signed-in user, with the user's money. Use it only when the user has "
            "asked for this very order: look up the price with get-stock-price first and tell the user "
            "symbol, side, quantity and what it comes to. Give every order an idempotency_key of its own, "
            "and repeat the same key only to repeat the same order after a failure. An order has a highest "
            "value for agents; beyond it the user has to order without you. An accepted order can be "
            "cancelled with cancel-order."
        ),
        input_schema=schema_of(_Order),
        output_schema=schema_of(PlacedOrder),
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    ),
    reading(PLACE, _Order, _place),
    checking(PLACE, _Order),
)

LIST_ORDERS: Final = GatewayTool(
    Tool(
        name=LIST,
        title="List orders",
        description=(
            "Returns the signed-in user's orders, the latest first, whichever agent placed them. Use it to "
            "find an order's id or to see what became of one. Pass next_cursor as cursor for older ones."
        ),
        input_schema=schema_of(_Page),
        output_schema=schema_of(OrderPage),
        annotations=ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    ),
    reading(LIST, _Page, _list),
)

CANCEL_ORDER: Final = GatewayTool(
    Tool(
        name=CANCEL,
        title="Cancel an order",
        description=(
            "Cancels one of the signed-in user's orders, for good: to have it again is a new order. Use it "
            "only when the user has asked for it. Cancelling an order that is cancelled already changes "
            "nothing."
        ),
        input_schema=schema_of(_OneOrder),
        output_schema=schema_of(Order),
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    ),
    reading(CANCEL, _OneOrder, _cancel),
    checking(CANCEL, _OneOrder),
)
