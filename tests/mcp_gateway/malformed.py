"""Requests that are almost, or not at all, what the protocol asks for: bytes and headers (hypothesis)."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from tests.support.messages import LEGACY

METHODS: Final = (
    *("tools/call", "tools/list", "initialize", "ping", "server/discover", "completion/complete"),
    *("resources/list", "resources/read", "resources/templates/list", "resources/subscribe"),
    *("prompts/list", "prompts/get", "logging/setLevel", "subscriptions/listen", "tasks/get"),
    *("notifications/initialized", "notifications/cancelled", "notifications/progress", "rpc.discover", ""),
)
NAMES: Final = ("fetch-stock-prices", "place-order", "", "stock://COM1", "__init__", "../tools")
VERSIONS: Final = (
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
    "2099-01-01",
    "",
    "\x7f",
    "1" * 200,
)
META: Final = "io.modelcontextprotocol/"

nothing = st.builds(dict[str, Any])
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
metadata = st.dictionaries(
    st.sampled_from(
        [
            META + "protocolVersion",
            META + "clientCapabilities",
            META + "clientInfo",
            "progressToken",
            "traceparent",
        ]
    ),
    st.sampled_from(VERSIONS) | nothing | anything,
    max_size=4,
)
parameters = anything | st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(NAMES) | anything,
        "uri": st.sampled_from(NAMES) | anything,
        "arguments": nothing | anything,
        "_meta": metadata | anything,
        "cursor": anything,
        "protocolVersion": st.sampled_from(VERSIONS) | anything,
        "capabilities": nothing | anything,
        "clientInfo": st.just({"name": "x", "version": "1"}) | anything,
        "requestState": anything,
    },
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | st.just("2.0") | anything,
        "id": st.integers(0, 9) | anything,
        "method": st.sampled_from(METHODS) | st.sampled_from(METHODS) | anything,
        "params": parameters,
        "result": anything,
        "error": anything,
    },
)


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    body = bytearray(draw(messages.map(_encoded)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(body)


bodies = (
    messages.map(_encoded)
    | messages.map(_encoded)
    | _damaged()
    | st.lists(messages, max_size=3).map(_encoded)
    | anything.map(_encoded)
    | st.binary(max_size=200)
    | st.integers(1, 5000).map(lambda depth: b'{"a":[' * depth)
)
headers = st.fixed_dictionaries(
    {
        "content-type": st.just("application/json")
        | st.sampled_from(["", "text/plain", "application/json;x"]),
        "accept": st.just(LEGACY["accept"])
        | st.sampled_from(["", "*/*", "application/json", "text/event-stream"]),
    },
    optional={
        "mcp-protocol-version": st.sampled_from(VERSIONS),
        "mcp-method": st.sampled_from(METHODS),
        "mcp-name": st.sampled_from(NAMES),
        "mcp-session-id": st.sampled_from(["", "1", "\x01"]),
        "mcp-param-x": st.sampled_from(["", "=?base64?!?="]),
        "traceparent": st.sampled_from(["", "00-0-0-0", "x" * 500]),
    },
)
