"""JSON-RPC messages and headers as MCP clients send them."""

from typing import Any, Final

LEGACY: Final = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
MODERN: Final = LEGACY | {"mcp-protocol-version": "2026-07-28"}


META: Final[dict[str, Any]] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
"""What a request of 2026-07-28 has in its `params._meta`."""


def call_message(tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
