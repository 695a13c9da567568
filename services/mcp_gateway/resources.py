"""`stock://{symbol}`: one stock as a resource, for clients that read rather than call."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from authcore.errors import InsufficientScope, InvalidToken, OAuthError
from mcp_gateway.caller import Caller, caller_of
from mcp_gateway.documents import SYMBOL_PATTERN
from mcp_gateway.listing import marked
from mcp_gateway.policy import RESOURCE_RULES, resource_rule, verdict, visible
from mcp_gateway.tools.tool import Upstream
from mcp_gateway.upstream import UpstreamRefused, UpstreamUnavailable

SCHEME: Final = "stock://"
TEMPLATE: Final = SCHEME + "{symbol}"
JSON: Final = "application/json"

TEMPLATES: Final[dict[str, ResourceTemplate]] = {
    TEMPLATE: ResourceTemplate(
        name="stock",
        title="One stock",
        uri_template=TEMPLATE,
        description="One stock of the signed-in user's region and its current price, as get-stock-price has "
        "it.",
        mime_type=JSON,
    )
}

Context = ServerRequestContext[Any, Any]


class StockResources:
    """The handlers. They hold nothing of any request."""

    def __init__(self, upstream: Upstream, *, list_step_up: bool) -> None:
        self._upstream = upstream
        self._list_step_up = list_step_up

    async def templates(self, ctx: Context, _: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        """Return the templates this token may use, and those it could after asking for more scopes."""
        needed = visible(RESOURCE_RULES, caller_of(ctx.request).token)
        templates = [
            marked(TEMPLATES[name], scope)
            for name, scope in needed.items()
            if self._list_step_up or not scope
        ]
        return ListResourceTemplatesResult(resource_templates=templates, ttl_ms=0, cache_scope="private")

    async def list(self, ctx: Context, _: PaginatedRequestParams | None) -> ListResourcesResult:
        """Return the stocks of the user's region, none if the token may not read them."""
        caller, rule = caller_of(ctx.request), RESOURCE_RULES[TEMPLATE]
        found: list[Resource] = []
        if verdict(rule, caller.token).allowed:
            async with _refusals(caller):
                token = await self._upstream.token_for(caller, rule.scope)
                stocks = await self._upstream.api.list_stocks(token)
            found = [
                Resource(name=stock.id, title=stock.name, uri=SCHEME + stock.id, mime_type=JSON)
                for stock in stocks
            ]
        return ListResourcesResult(resources=found, ttl_ms=0, cache_scope="private")

    async def read(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        """Return one stock of the user's region; any other resource is not found."""
        caller, rule = caller_of(ctx.request), resource_rule(params.uri)
        symbol = params.uri.removeprefix(SCHEME)
        if rule is None or not re.fullmatch(SYMBOL_PATTERN, symbol):
            _not_found(params.uri)
        found = verdict(rule, caller.token)
        if found.never:
            raise MCPError(INVALID_PARAMS, f"The resource cannot be read by this client: {found.never}")
        async with _refusals(caller, params.uri):
            if found.step_up:
                # The guard asked for these already, unless it read another message than we did.
                raise InsufficientScope("The operation needs more scopes", scope=found.step_up)
            token = await self._upstream.token_for(caller, rule.scope)
            stock = await self._upstream.api.stock(token, symbol)
        contents = TextResourceContents(uri=params.uri, mime_type=JSON, text=stock.model_dump_json())
        return ReadResourceResult(contents=[contents], ttl_ms=0, cache_scope="private")


@asynccontextmanager
async def _refusals(caller: Caller, uri: str = "") -> AsyncGenerator[None]:
    """Turn failures into protocol errors: a resource has no result that could say what went wrong."""
    try:
        yield
    except OAuthError as error:
        caller.refusal = error
        raise MCPError(INTERNAL_ERROR, "Authorization failed") from None
    except UpstreamUnavailable:
        raise MCPError(INTERNAL_ERROR, "The API could not answer. Try again in a few seconds.") from None
    except UpstreamRefused as error:
        if error.status == 404:
            _not_found(uri)
        if error.status == 401:
            caller.refusal = InvalidToken("The API no longer accepts the delegation")
        raise MCPError(INVALID_PARAMS, f"The API refused: {error.detail}") from None


def _not_found(uri: str) -> NoReturn:
    # MCP 2026-07-28, resources: not found is a parameter that is wrong; another user's is nobody's.
    raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri[:200]})
