"""What the API says, as agents get to see it. What is not described here does not reach them."""

from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

SYMBOL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$"
"""What can be put into a path of the API as it is."""


class Document(BaseModel):
    """Base: unknown members are left out, not passed on."""

    model_config = ConfigDict(frozen=True)


class StockPrice(Document):
    """One stock and its price."""

    id: Annotated[str, Field(description="The stock's symbol, such as COM1")]
    name: Annotated[str, Field(description="The company's name")]
    region: Annotated[str, Field(description="Where the stock is listed")]
    currency: Annotated[str, Field(description="Currency of the price (ISO 4217)")]
    price: Annotated[FiniteFloat, Field(description="The current price of one share, in that currency")]


class Quote(Document):
    """One price that was."""

    price: Annotated[str, Field(description="Price of one share, as a decimal string")]
    at: Annotated[str, Field(description="Since when it was the price (RFC 3339)")]


class PriceHistory(Document):
    """A page of a stock's prices."""

    stock_id: Annotated[str, Field(description="The stock's symbol")]
    currency: Annotated[str, Field(description="Currency of the prices (ISO 4217)")]
    quotes: Annotated[list[Quote], Field(description="The recorded prices, the latest first")]
    next_cursor: Annotated[
        str | None, Field(description="Pass it as cursor for older prices; null when there are none")
    ]


class Order(Document):
    """One order of the user's."""

    id: Annotated[str, Field(description="The order's id, for cancel-order")]
    stock_id: Annotated[str, Field(description="The stock's symbol")]
    side: Literal["buy", "sell"]
    quantity: Annotated[int, Field(description="Shares")]
    limit_price: Annotated[
        str | None,
        Field(description="The most to pay, or the least to take, for one share; null: the market's price"),
    ]
    currency: Annotated[str, Field(description="Currency of the amounts (ISO 4217)")]
    value: Annotated[str, Field(description="What the order was worth when it was placed")]
    status: Annotated[str, Field(description="accepted or cancelled; nothing executes orders by itself")]
    placed_at: Annotated[str, Field(description="When it was placed (RFC 3339)")]
    cancelled_at: Annotated[str | None, Field(description="When it was cancelled (RFC 3339)")]


class PlacedOrder(Order):
    """An order, and whether this call has placed it."""

    placed_before: Annotated[
        bool,
        Field(
            description="True if an earlier call with this idempotency_key placed it: nothing new was ordered"
        ),
    ] = False


class OrderPage(Document):
    """A page of the user's orders."""

    orders: Annotated[list[Order], Field(description="The user's orders, the latest first")]
    next_cursor: Annotated[
        str | None, Field(description="Pass it as cursor for older orders; null when there are none")
    ]


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the model's JSON Schema in one piece: some clients do not follow references within one."""
    schema = model.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs", {})
    return _plain(schema, definitions)


def _plain(value: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401  any part of a schema
    if isinstance(value, list):
        return [_plain(item, definitions) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    if "$ref" in members:
        members = definitions[members["$ref"].rpartition("/")[2]] | members
    # Titles repeat the names, and null says what leaving out says; but an argument may be named title.
    return {
        name: _plain(item, definitions)
        for name, item in members.items()
        if name != "$ref" and not (name == "title" and isinstance(item, str)) and item is not None
    }
