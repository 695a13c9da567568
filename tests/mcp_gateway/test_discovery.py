"""What can be learnt of the gateway before a call: card, catalog, what pages may, what it offers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from authcore.telemetry import configure_tracing
from mcp_gateway.server_card import catalog, server_card
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import RESOURCE, Gateway
from tests.support.messages import MODERN

REGISTRY_FILE = Path(__file__).parents[2] / "services" / "mcp_gateway" / "server.json"
PAGE = {"origin": "https://inspector.test"}
PUBLIC = (
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/ai-catalog.json",
    "/mcp/server-card",
)
HEADERS_OF_CLIENTS = (
    "authorization, dpop, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, "
    "mcp-param-region, mcp-session-id, last-event-id, traceparent, tracestate, baggage"
)


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": dict[str, Any](),
}


async def modern(gateway: Gateway, method: str, **params: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    name = {"mcp-name": params["name"]} if "name" in params else {}
    return (await gateway.post(message, headers=MODERN | {"mcp-method": method} | name)).json()


@pytest.mark.requirement("server-card")
async def test_the_catalog_leads_anybody_to_the_card_and_the_card_to_the_server(gateway: Gateway) -> None:
    response = await gateway.http.get("/.well-known/ai-catalog.json")
    assert response.headers["content-type"] == "application/ai-catalog+json"
    assert response.json()["specVersion"] == "1.0"
    (entry,) = response.json()["entries"]
    assert entry["identifier"] == "urn:air:mcp.test:mcp:delegant"
    card = await gateway.http.get(entry["url"])
    assert card.headers["content-type"] == entry["type"] == "application/mcp-server-card+json"
    assert [remote["url"] for remote in card.json()["remotes"]] == [RESOURCE]
    assert set(card.json()) == {"$schema", "name", "version", "title", "description", "remotes"}


@pytest.mark.requirement("server-card")
@pytest.mark.requirement("discover")
async def test_the_card_says_what_the_server_says_of_itself(gateway: Gateway) -> None:
    card = (await gateway.http.get("/mcp/server-card")).json()
    result = (await modern(gateway, "server/discover"))["result"]
    info = result["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert card["name"] == f"test.mcp/{info['name']}"
    assert (card["version"], card["title"]) == (info["version"], info["title"])
    assert set(result["supportedVersions"]) <= set(card["remotes"][0]["supportedProtocolVersions"])
    assert result["capabilities"].keys() >= {"tools"}
    spoken = card["remotes"][0]["supportedProtocolVersions"]
    assert spoken == ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]


@pytest.mark.requirement("server-card")
@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("https://mcp.demo.example/mcp", "example.demo.mcp/delegant"),
        ("http://127.0.0.1:8080/mcp", "127.0.0.1/delegant"),
        ("http://[::1]:8080/mcp", "..1/delegant"),
    ],
)
def test_what_is_published_has_the_form_of_the_registry(settings: Settings, resource: str, name: str) -> None:
    card = server_card(settings.model_copy(update={"resource": resource}))
    assert card["name"] == name
    assert registry_problems(card) == []
    (entry,) = catalog(settings.model_copy(update={"resource": resource}))["entries"]
    assert entry["url"] == resource + "/server-card"


def test_the_file_for_the_registry_says_what_the_card_says(settings: Settings) -> None:
    file = json.loads(REGISTRY_FILE.read_text())
    assert registry_problems(file) == []
    card = server_card(settings.model_copy(update={"resource": file["remotes"][0]["url"]}))
    shared = ("name", "version", "title", "description")
    assert {key: file[key] for key in shared} == {key: card[key] for key in shared}


def registry_problems(document: dict[str, Any]) -> list[str]:
    """What the published schemas of registry and card would object to, as far as we use them."""
    wanted = {
        "$schema": r"https://static\.modelcontextprotocol\.io/schemas/(v1/server-card|[\d-]+/server)\.schema\.json",
        "name": r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+",
        "version": r"\d+\.\d+\.\d+\S*",
        "title": r".{1,100}",
        "description": r".{1,100}",
    }
    problems = [key for key, form in wanted.items() if not re.fullmatch(form, document.get(key, ""))]
    reached = [
        (remote["type"], bool(re.fullmatch(r"https?://\S+", remote["url"]))) for remote in document["remotes"]
    ]
    return problems if reached == [("streamable-http", True)] else [*problems, "remotes"]


@pytest.mark.requirement("page-origins")
@pytest.mark.parametrize("path", PUBLIC)
async def test_any_page_may_read_what_is_public_whatever_headers_its_client_sends(
    gateway: Gateway, path: str
) -> None:
    anybody = {"origin": "https://anybody.test"}
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "mcp-protocol-version"}
    preflight = await gateway.http.options(path, headers=anybody | asked)
    assert preflight.status_code == 200
    assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"]
    response = await gateway.http.get(path, headers=anybody)
    assert response.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in response.headers
    again = await gateway.http.get(path, headers={"if-none-match": f'W/"x", {response.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert (await gateway.http.post(path, headers=anybody)).status_code == 405


@pytest.mark.requirement("page-origins")
async def test_a_page_of_an_allowed_origin_may_send_every_header_of_mcp(gateway: Gateway) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": HEADERS_OF_CLIENTS}
    preflight = await gateway.http.options("/mcp", headers=PAGE | asked)
    assert preflight.status_code == 200
    allowed = {name.strip() for name in preflight.headers["access-control-allow-headers"].lower().split(",")}
    assert allowed >= {name.strip() for name in HEADERS_OF_CLIENTS.split(",")}
    assert preflight.headers["access-control-allow-origin"] == PAGE["origin"]
    assert "access-control-allow-credentials" not in preflight.headers


@pytest.mark.requirement("page-origins")
async def test_a_page_of_another_origin_may_send_nothing(gateway: Gateway) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = await gateway.http.options("/mcp", headers={"origin": "https://evil.test"} | asked)
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.requirement("page-origins")
@pytest.mark.parametrize("token", ["john", None])
async def test_a_page_may_read_where_to_authorize_and_when_to_come_back(
    gateway: Gateway, token: str | None
) -> None:
    response = await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, token=token, headers=PAGE)
    exposed = {name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {"www-authenticate", "retry-after", "dpop-nonce", "ratelimit", "ratelimit-policy"}


@pytest.mark.requirement("result-type")
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("server/discover", {}),
        ("tools/list", {}),
        ("tools/call", {"name": "fetch-stock-prices", "arguments": {}}),
    ],
)
async def test_every_result_says_of_what_type_it_is(
    gateway: Gateway, method: str, params: dict[str, Any]
) -> None:
    assert (await modern(gateway, method, **params))["result"]["resultType"] == "complete"


@pytest.mark.requirement("listen")
@pytest.mark.requirement("listen-authorization")
async def test_what_is_not_offered_is_refused_and_opens_no_stream(gateway: Gateway) -> None:
    capabilities = (await modern(gateway, "server/discover"))["result"]["capabilities"]
    offered = [key for part in capabilities.values() for key, value in part.items() if value]
    assert offered == []
    answer = await modern(gateway, "subscriptions/listen", notifications={"toolsListChanged": True})
    assert answer["error"]["code"] == -32601


@pytest.mark.requirement("progress")
async def test_a_progress_token_does_no_harm(gateway: Gateway) -> None:
    params = {"name": "fetch-stock-prices", "arguments": {}, "_meta": {"progressToken": 7}}
    response = await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    assert response.headers["content-type"] == "application/json"
    assert not response.json()["result"]["isError"]


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.requirement("trace-context")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}\r\nx: y", False),
        ({"a": 1}, False),
        ("a" * 10_000, False),
    ],
)
async def test_trace_context_in_meta_reaches_the_api_and_what_is_none_is_left_out(
    gateway: Gateway, given: object, *, kept: bool
) -> None:
    configure_tracing("gateway", None)
    context = {"traceparent": given, "tracestate": "x=1", "baggage": "user=jane"}
    params = {"name": "fetch-stock-prices", "arguments": {}, "_meta": context}
    response = await gateway.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    assert response.json()["result"]["isError"] is False
    (request,) = gateway.network.api_requests
    assert (TRACE in request.headers.get("traceparent", "")) == kept
    assert "baggage" not in request.headers
