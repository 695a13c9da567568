"""Prompts that show good use.

What a user fills in becomes part of a text that a model obeys, so it is checked by its form.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
)

from mcp_gateway.caller import caller_of
from mcp_gateway.documents import SYMBOL_PATTERN
from mcp_gateway.listing import marked
from mcp_gateway.policy import PROMPT_RULES, verdict, visible

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class GatewayPrompt:
    """A prompt's public description, the form of each argument, and its text with places for them."""

    definition: Prompt
    forms: Mapping[str, str]
    template: str


_REVIEW: Final = GatewayPrompt(
    Prompt(
        name="review-stock",
        title="Review a stock",
        description="What a stock costs, how it got there, and what the user has ordered of it. Orders "
        "nothing.",
        arguments=[
            PromptArgument(name="symbol", description="The stock's symbol, such as COM1", required=True)
        ],
    ),
    {"symbol": SYMBOL_PATTERN},
    "Review the stock {symbol} for me. Get its current price with get-stock-price and what it cost before "
    "with get-price-history. If you may use list-orders, tell me which of my orders are for it. Say when "
    "each price is from, and do not guess what is not recorded. Do not place or cancel any order.",
)

_ORDER: Final = GatewayPrompt(
    Prompt(
        name="order-with-care",
        title="Order shares with care",
        description="Looks the price up, asks for a yes, orders once, and finds out what became of it.",
        arguments=[
            PromptArgument(name="symbol", description="The stock's symbol, such as COM1", required=True),
            PromptArgument(name="side", description="buy or sell", required=True),
            PromptArgument(name="quantity", description="How many shares", required=True),
        ],
    ),
    {"symbol": SYMBOL_PATTERN, "side": "buy|sell", "quantity": "[1-9][0-9]{0,6}"},
    "I may want to {side} {quantity} shares of {symbol}. First get the current price with get-stock-price "
    "and tell me what it comes to. Wait for my yes. Then make up a new UUID as idempotency_key and call "
    "place-order once. If you cannot tell whether it worked, call it again with exactly the same arguments. "
    "If it is refused, tell me why and what would help, and do not try to get round it with smaller orders. "
    "At the end tell me the order's id and status.",
)

PROMPTS: Final[dict[str, GatewayPrompt]] = {prompt.definition.name: prompt for prompt in (_REVIEW, _ORDER)}


class Prompts:
    """The handlers."""

    def __init__(self, *, list_step_up: bool) -> None:
        self._list_step_up = list_step_up

    async def list(self, ctx: Context, _: PaginatedRequestParams | None) -> ListPromptsResult:
        """Return the prompts this token may use, and those it could after asking for more scopes."""
        needed = visible(PROMPT_RULES, caller_of(ctx.request).token)
        prompts = [
            marked(PROMPTS[name].definition, scope)
            for name, scope in needed.items()
            if self._list_step_up or not scope
        ]
        return ListPromptsResult(prompts=prompts, ttl_ms=0, cache_scope="private")

    async def get(self, ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        """Return the prompt's message with what the user filled in."""
        prompt, rule = PROMPTS.get(params.name), PROMPT_RULES.get(params.name)
        if prompt is None or rule is None or not verdict(rule, caller_of(ctx.request).token).allowed:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name[:80]}")
        given = params.arguments or {}
        if given.keys() != prompt.forms.keys():
            raise MCPError(INVALID_PARAMS, f"The arguments are: {', '.join(prompt.forms)}")
        for name, form in prompt.forms.items():
            if not re.fullmatch(form, given[name]):
                raise MCPError(INVALID_PARAMS, f"{name} must match {form}")
        content = TextContent(type="text", text=prompt.template.format(**given))
        return GetPromptResult(
            description=prompt.definition.description, messages=[PromptMessage(role="user", content=content)]
        )
