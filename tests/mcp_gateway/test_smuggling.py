"""A forbidden call in the clothes of an allowed one: whatever headers and encodings say, it is refused."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import pytest

from tests.mcp_gateway.conftest import Gateway
from tests.support.messages import LEGACY, META, MODERN, call_message

pytestmark = pytest.mark.requirement("body-decides")

TOOL: Final = "fetch-stock-prices"
ALLOWED: Final = "allowed-to-anybody"
FORBIDDEN: Final = json.dumps(call_message(TOOL)).encode()

VERSIONS: dict[str, dict[str, str]] = {
    "no version": LEGACY,
    "2025-03-26": LEGACY | {"mcp-protocol-version": "2025-03-26"},
    "2025-11-25": LEGACY | {"mcp-protocol-version": "2025-11-25"},
    "2026-07-28": MODERN,
    "an unknown version": LEGACY | {"mcp-protocol-version": "2099-01-01"},
    "an empty version": LEGACY | {"mcp-protocol-version": ""},
}
ROUTES: dict[str, dict[str, str]] = {
    "the headers of a list": {"mcp-method": "tools/list"},
    "the name of another tool": {"mcp-method": "tools/call", "mcp-name": ALLOWED},
    "the name in upper case": {"mcp-method": "tools/call", "mcp-name": TOOL.upper()},
    "an encoded name": {"mcp-method": "tools/call", "mcp-name": "=?base64?YWxsb3dlZA==?="},
    "an empty name": {"mcp-method": "tools/call", "mcp-name": ""},
    "a method override": {"x-http-method-override": "GET", "mcp-method": "ping"},
}


async def refused(gateway: Gateway, body: Any, *headers: tuple[str, str], token: str = "nobody") -> int:
    """Send the body, make sure that nothing came of it, and return the status."""
    given = [*headers, ("authorization", f"Bearer {token}")]
    response = await gateway.http.post("/mcp", content=body, headers=given)
    assert 400 <= response.status_code < 500, response.text
    assert gateway.network.api_requests == []
    assert gateway.network.broker.exchanges == 0
    return response.status_code


@pytest.mark.requirement("body-decides")
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES.keys())
async def test_no_header_makes_a_forbidden_call_an_allowed_one(
    gateway: Gateway, version: dict[str, str], route: dict[str, str]
) -> None:
    message = call_message(TOOL)
    message["params"]["_meta"] = META
    headers = version | route
    assert await refused(gateway, json.dumps(message).encode(), *headers.items()) == 403


def notification() -> bytes:
    message = call_message(TOOL)
    del message["id"]
    return json.dumps(message).encode()


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS.keys())
async def test_a_forbidden_call_that_wants_no_answer_is_refused_like_any_other(
    gateway: Gateway, version: dict[str, str]
) -> None:
    assert await refused(gateway, notification(), *version.items()) == 403


BODIES: dict[str, bytes] = {
    "a batch": b"[" + FORBIDDEN + b"]",
    "a batch with an allowed call first": b'[{"jsonrpc":"2.0","id":1,"method":"ping"},' + FORBIDDEN + b"]",
    "an empty batch": b"[]",
    "two messages": FORBIDDEN + b"\n" + FORBIDDEN,
    "a message after an allowed one": b'{"jsonrpc":"2.0","id":1,"method":"ping"}' + FORBIDDEN,
    "method twice": FORBIDDEN.replace(b'"method"', b'"method": "ping", "method"'),
    "method twice, once escaped": FORBIDDEN.replace(b'"method"', b'"m\\u0065thod": "ping", "method"'),
    "params twice": FORBIDDEN.replace(b'"params"', b'"params": {}, "params"'),
    "name twice": FORBIDDEN.replace(b'"name"', b'"name": "x", "name"'),
    "an argument twice": FORBIDDEN.replace(b'"arguments": {}', b'"arguments": {"a": 1, "a": 2}'),
    "id twice": FORBIDDEN.replace(b'"id"', b'"id": 2, "id"'),
    "UTF-16": FORBIDDEN.decode().encode("utf-16"),
    "UTF-16 without a mark": FORBIDDEN.decode().encode("utf-16-le"),
    "UTF-32": FORBIDDEN.decode().encode("utf-32"),
    "UTF-7": FORBIDDEN.decode().encode("utf-7").replace(b"{", b"+AHs-"),
    "a byte order mark": b"\xef\xbb\xbf" + FORBIDDEN,
    "an overlong character": FORBIDDEN.replace(b"fetch", b"\xc1\xa6etch"),
    "a zero byte": FORBIDDEN + b"\x00",
    "gzip": gzip.compress(FORBIDDEN),
    "a comment": b"/* ping */" + FORBIDDEN,
    "a trailing comma": FORBIDDEN[:-1] + b",}",
    "single quotes": FORBIDDEN.replace(b'"', b"'"),
    "half a character": FORBIDDEN.replace(b"stock", b"\\ud800stock"),
    "a number without end": FORBIDDEN.replace(b'"id": 1', b'"id": 1e999'),
    "not a number": FORBIDDEN.replace(b'"id": 1', b'"id": NaN'),
    "a number of 5,000 digits": FORBIDDEN.replace(b'"id": 1', b'"id": ' + b"1" * 5000),
    "65 levels": FORBIDDEN.replace(b'"arguments": {}', b'"arguments": ' + b'{"a":' * 63 + b"1" + b"}" * 63),
    "a form": b"jsonrpc=2.0&method=tools/call",
}


@pytest.mark.requirement("body-decides")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("token", ["nobody", "john"])
async def test_a_body_that_could_be_read_in_two_ways_is_read_by_nobody(
    gateway: Gateway, body: bytes, token: str
) -> None:
    for version in (LEGACY, MODERN):
        assert await refused(gateway, body, *version.items(), token=token) == 400


@pytest.mark.parametrize(
    "spelling",
    [
        "Fetch-Stock-Prices",
        "fetch-stock-prices ",
        " fetch-stock-prices",
        "fetch\u2011stock\u2011prices",
        "fetch-stock-prices\x00",
    ],
)
async def test_a_name_that_only_looks_like_a_tool_is_no_tool(gateway: Gateway, spelling: str) -> None:
    response = await gateway.post(call_message(spelling))
    assert response.json()["error"]["code"] == -32602
    assert gateway.network.api_requests == []


@pytest.mark.parametrize(
    "method", ["Tools/Call", "tools/call ", "TOOLS/CALL", "tools\u2215call", "tools/call\x00"]
)
async def test_a_method_that_only_looks_like_a_call_calls_nothing(gateway: Gateway, method: str) -> None:
    message = call_message(TOOL) | {"method": method}
    response = await gateway.post(message, token="nobody")
    assert "error" in response.json()
    assert gateway.network.api_requests == []


HEADERS: dict[str, tuple[int, list[tuple[str, str]]]] = {
    "gzip": (415, [*LEGACY.items(), ("content-encoding", "gzip")]),
    "deflate after identity": (415, [*LEGACY.items(), ("content-encoding", "identity, deflate")]),
    "two encodings": (400, [*LEGACY.items(), ("content-encoding", "identity"), ("content-encoding", "gzip")]),
    "another character set": (
        415,
        [*(LEGACY | {"content-type": "application/json; charset=utf-16"}).items()],
    ),
    "another media type": (415, [*(LEGACY | {"content-type": "text/plain"}).items()]),
    "a form": (415, [*(LEGACY | {"content-type": "application/x-www-form-urlencoded"}).items()]),
    "no media type": (415, [("accept", LEGACY["accept"])]),
    "two media types": (400, [*LEGACY.items(), ("content-type", "application/json; charset=utf-16")]),
    "two versions": (400, [*MODERN.items(), ("mcp-protocol-version", "2025-11-25")]),
    "two names": (400, [*MODERN.items(), ("mcp-name", ALLOWED), ("mcp-name", TOOL)]),
    "two methods": (400, [*MODERN.items(), ("mcp-method", "tools/list"), ("mcp-method", "tools/call")]),
    "one name twice": (400, [*LEGACY.items(), ("mcp-name", TOOL), ("mcp-name", TOOL)]),
}


@pytest.mark.parametrize(("status", "headers"), HEADERS.values(), ids=HEADERS.keys())
async def test_headers_that_leave_two_readings_are_refused_even_to_somebody_who_may_call(
    gateway: Gateway, status: int, headers: list[tuple[str, str]]
) -> None:
    assert await refused(gateway, FORBIDDEN, *headers, token="john") == status


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; Charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_json_in_utf_8_is_taken_however_its_type_is_spelt(gateway: Gateway, content_type: str) -> None:
    response = await gateway.post(call_message(TOOL), headers={"content-type": content_type})
    assert response.status_code == 200


def in_chunks(size: int) -> Callable[[bytes], AsyncIterator[bytes]]:
    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return chunks


@pytest.mark.parametrize("size", [1, 7])
async def test_a_body_in_chunks_is_read_whole_before_anything_is_decided(gateway: Gateway, size: int) -> None:
    cut = in_chunks(size)
    assert await refused(gateway, cut(FORBIDDEN), *LEGACY.items()) == 403
    assert await refused(gateway, cut(FORBIDDEN + FORBIDDEN), *LEGACY.items()) == 400
    response: httpx.Response = await gateway.http.post(
        "/mcp", content=cut(FORBIDDEN), headers=LEGACY | {"authorization": "Bearer john"}
    )
    assert response.status_code == 200


async def test_as_much_nesting_as_anybody_needs_is_taken(gateway: Gateway) -> None:
    nested: Any = "deep"
    for _ in range(60):
        nested = [nested]
    response = await gateway.post(call_message(TOOL, text="[{" * 500, nested=nested))
    assert response.status_code == 200
    assert response.json()["result"]["isError"]
