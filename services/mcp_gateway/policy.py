"""Which scopes a message needs. Data and pure functions: nothing here does I/O."""

from collections.abc import Mapping
from typing import Any, Final, cast

from authcore.claims import covers

READ: Final = "stocks/read"

TOOL_SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "fetch-stock-prices": frozenset({READ}),
}

INITIAL_SCOPE: Final = (READ,)
"""What an agent without a token is told to ask for: enough to begin with, nothing more."""

SCOPES_SUPPORTED: Final = tuple(sorted({scope for scopes in TOOL_SCOPES.values() for scope in scopes}))


def required_scope(message: Mapping[str, Any]) -> frozenset[str]:
    """Return all scopes the operation of a JSON-RPC message needs.

    The body decides, never a header. A tool without a rule needs none here: to the server it does
    not exist.
    """
    if message.get("method") != "tools/call":
        return frozenset()
    params: object = message.get("params")
    if not isinstance(params, dict):
        return frozenset()
    name = cast("dict[str, object]", params).get("name")
    return TOOL_SCOPES.get(name, frozenset()) if isinstance(name, str) else frozenset()


def usable(tool: str, granted: frozenset[str]) -> bool:
    """Tell whether a token with these scopes may call the tool. A tool without a rule may not be called."""
    rule = TOOL_SCOPES.get(tool)
    return rule is not None and covers(granted, rule)
