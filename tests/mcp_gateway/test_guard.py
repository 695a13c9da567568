"""The door of the gateway, from outside."""

import json
from typing import Any

import httpx
import pytest

from tests.mcp_gateway.conftest import METADATA, Gateway
from tests.support.forgery import FORGERIES
from tests.support.messages import LEGACY, MODERN, call_message

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.mark.requirement("no-error-without-credentials")
@pytest.mark.requirement("challenge-scope")
async def test_a_request_without_a_token_is_challenged_with_metadata_and_scope_and_no_error(
    gateway: Gateway,
) -> None:
    response = await gateway.post(LIST, token=None)
    assert response.status_code == 401
    assert (
        response.headers["www-authenticate"] == f'Bearer scope="stocks/read", resource_metadata="{METADATA}"'
    )


@pytest.mark.requirement("bearer-header")
@pytest.mark.parametrize("header", ["Basic am9objpqb2hu", "DPoPjohn", "john", ""])
async def test_other_schemes_count_as_no_credentials(gateway: Gateway, header: str) -> None:
    response = await gateway.post(LIST, token=None, headers={"authorization": header})
    assert response.status_code == 401
    assert "error" not in response.headers["www-authenticate"]
    assert "error" not in response.json()


@pytest.mark.requirement("bearer-header")
async def test_a_token_in_the_query_string_is_no_token(gateway: Gateway) -> None:
    response = await gateway.http.post("/mcp?access_token=john", json=LIST)
    assert response.status_code == 401
    assert gateway.network.broker.introspections == 0


@pytest.mark.requirement("token-validated")
@pytest.mark.parametrize("kind", [*FORGERIES, "garbage", "unknown"])
async def test_a_bad_token_gets_401_invalid_token(gateway: Gateway, kind: str) -> None:
    issuer = gateway.network.issuer
    forge = FORGERIES.get(kind, lambda _: {"garbage": "!!", "unknown": "unknown"}[kind])
    response = await gateway.post(LIST, token=forge(issuer))
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert f'resource_metadata="{METADATA}"' in response.headers["www-authenticate"]


@pytest.mark.requirement("token-validated")
async def test_what_the_broker_says_is_verified_too(gateway: Gateway) -> None:
    gateway.network.broker.tokens["swapped"] = {"aud": "https://api.demo.example"}
    response = await gateway.post(LIST, token="swapped")
    assert response.status_code == 401


@pytest.mark.requirement("canonical-resource")
@pytest.mark.parametrize(
    "audience", ["https://mcp.test/mcp", "https://mcp.test/mcp/", ["x", "https://mcp.test/mcp"]]
)
async def test_a_jwt_for_this_resource_is_accepted_without_asking_the_broker(
    gateway: Gateway, audience: Any
) -> None:
    response = await gateway.post(LIST, token=gateway.network.issuer.sign(aud=audience))
    assert response.status_code == 200
    assert gateway.network.broker.introspections == 0


async def test_two_authorization_headers_are_refused(gateway: Gateway) -> None:
    headers = [("authorization", "Bearer john"), ("authorization", "Bearer jane"), ("host", "mcp.test")]
    response = await gateway.http.post("/mcp", json=LIST, headers=headers)
    assert response.status_code == 400
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


async def test_an_authorization_header_of_60_kilobytes_is_a_clean_refusal(gateway: Gateway) -> None:
    response = await gateway.post(LIST, token="a" * 60_000)
    assert response.status_code == 431


async def test_a_token_longer_than_any_of_ours_is_not_taken_to_the_broker(gateway: Gateway) -> None:
    response = await gateway.post(LIST, token="a" * 9000)
    assert response.status_code == 401
    assert gateway.network.broker.introspections == 0


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe{\x00", b'{"a":1}{"b":2}', b"NaN", b"[" * 100_000])
async def test_a_malformed_body_is_a_parse_error_with_a_token_and_401_without(
    gateway: Gateway, body: bytes
) -> None:
    response = await gateway.post(body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32700)
    assert (await gateway.post(body, token=None)).status_code == 401


async def test_a_body_over_the_limit_is_refused(gateway: Gateway) -> None:
    response = await gateway.post(b'"' + b"a" * 300_000 + b'"')
    assert response.status_code == 413


@pytest.mark.parametrize("more", [True, False])
async def test_a_body_that_breaks_off_is_not_carried_out(gateway: Gateway, more: bool) -> None:
    body = json.dumps(call_message("fetch-stock-prices")).encode()
    messages = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.request", "body": b"", "more_body": True} if more else {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(b"host", b"mcp.test"), (b"authorization", b"Bearer john")],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway.app(scope, receive, send)
    assert sent == []
    assert gateway.network.api_requests == []


@pytest.mark.requirement("insufficient-scope")
async def test_a_call_beyond_the_scope_gets_403_with_all_its_scopes_and_the_api_is_not_asked(
    gateway: Gateway,
) -> None:
    response = await gateway.call("fetch-stock-prices", token="nobody")
    assert response.status_code == 403
    challenge = response.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="stocks/read"' in challenge
    assert f'resource_metadata="{METADATA}"' in challenge
    assert gateway.network.api_requests == []


@pytest.mark.requirement("scope-hierarchy")
@pytest.mark.parametrize(("scope", "status"), [("stocks", 200), ("stocks/rea", 403), ("stocks/read/x", 403)])
async def test_a_wider_scope_grants_what_is_below_it(gateway: Gateway, scope: str, status: int) -> None:
    gateway.network.broker.tokens["wide"] = {"scope": scope}
    assert (await gateway.call("fetch-stock-prices", token="wide")).status_code == status


@pytest.mark.requirement("body-decides")
@pytest.mark.parametrize(
    "body",
    [
        json.dumps([call_message("fetch-stock-prices")]).encode(),
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"fetch-stock-prices"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","name":"fetch-stock-prices"}}',
        json.dumps(call_message("fetch-stock-prices")).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(call_message("fetch-stock-prices")).encode(),
    ],
    ids=["batch", "method twice", "name twice", "UTF-16", "byte order mark"],
)
async def test_a_body_that_two_readers_could_read_differently_is_refused(
    gateway: Gateway, body: bytes
) -> None:
    response = await gateway.post(body, token="nobody")
    assert response.status_code == 400
    assert gateway.network.api_requests == []


@pytest.mark.requirement("body-decides")
async def test_an_innocent_name_in_the_headers_does_not_hide_the_tool_in_the_body(gateway: Gateway) -> None:
    headers = MODERN | {"mcp-method": "tools/list", "mcp-name": "innocent"}
    response = await gateway.post(call_message("fetch-stock-prices"), token="nobody", headers=headers)
    assert response.status_code == 403


@pytest.mark.requirement("body-decides")
async def test_an_escaped_tool_name_is_the_same_tool(gateway: Gateway) -> None:
    body = json.dumps(call_message("fetch-stock-prices")).replace("fetch", "\\u0066etch").encode()
    assert (await gateway.post(body, token="nobody")).status_code == 403


@pytest.mark.requirement("origin-and-host")
async def test_a_foreign_host_or_origin_is_not_served(gateway: Gateway) -> None:
    assert (await gateway.post(LIST, headers={"host": "evil.test"})).status_code == 421
    assert (await gateway.post(LIST, headers={"origin": "https://evil.test"})).status_code == 403
    assert (await gateway.post(LIST, headers={"origin": "null"})).status_code == 403
    assert gateway.network.broker.introspections == 0


@pytest.mark.requirement("canonical-resource")
@pytest.mark.parametrize("host", ["mcp.test", "MCP.Test", "mcp.test:443"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_the_resource_is_the_same_in_every_spelling(gateway: Gateway, host: str, path: str) -> None:
    headers = {"host": host, "authorization": "Bearer john"}
    assert (await gateway.http.post(path, json=LIST, headers=LEGACY | headers)).status_code == 200
    assert (await gateway.http.post(path, json=LIST, headers={"host": host})).status_code == 401


@pytest.mark.parametrize("path", ["//mcp", "/mcp;x", "/mcp/x", "/MCP", "/./mcp", "/mcp%2f"])
async def test_no_other_path_leads_anywhere(gateway: Gateway, path: str) -> None:
    response = await gateway.http.post(path, json=LIST, headers={"host": "evil.test"})
    assert response.status_code in (404, 421)
    assert "location" not in response.headers


@pytest.mark.requirement("origin-and-host")
async def test_an_allowed_page_may_call_and_read_the_challenge(gateway: Gateway) -> None:
    origin = {"origin": "https://inspector.test"}
    preflight = await gateway.http.options(
        "/mcp",
        headers=origin
        | {"access-control-request-method": "POST", "access-control-request-headers": "authorization"},
    )
    assert preflight.status_code == 200
    response = await gateway.post(LIST, token=None, headers=origin)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://inspector.test"
    assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]


@pytest.mark.requirement("post-only")
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_other_methods_get_405_but_only_with_a_token(gateway: Gateway, method: str) -> None:
    assert (await gateway.http.request(method, "/mcp")).status_code == 401
    response = await gateway.http.request(method, "/mcp", headers={"authorization": "Bearer john"})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, json={"error": "temporarily_unavailable"}, headers={"retry-after": "7"}),
        httpx.Response(500),
        httpx.Response(200, json={"active": True}),
        httpx.Response(200, text="<html>", headers={"content-type": "text/html"}),
        httpx.Response(401, json={"error": "invalid_client"}),
        httpx.Response(302, headers={"location": "https://evil.test"}),
        httpx.Response(200, content=b"a" * 300_000, headers={"content-type": "application/jwt"}),
    ],
    ids=["503", "500", "JSON", "HTML", "401", "302", "huge"],
)
async def test_when_the_broker_cannot_say_the_answer_is_503_never_200_never_401(
    gateway: Gateway, answer: httpx.Response
) -> None:
    gateway.network.broker.answer = lambda _: answer
    response = await gateway.post(LIST)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "www-authenticate" not in response.headers


async def test_when_the_keys_cannot_be_fetched_the_answer_is_503(gateway: Gateway) -> None:
    gateway.network.issuer.fail = lambda: httpx.Response(500)
    assert (await gateway.post(LIST)).status_code == 503


async def test_a_known_token_is_not_taken_to_the_broker_again_until_its_memory_ends(gateway: Gateway) -> None:
    for _ in range(3):
        assert (await gateway.post(LIST)).status_code == 200
    assert gateway.network.broker.introspections == 1
    gateway.network.clock.seconds += 5
    del gateway.network.broker.tokens["john"]
    assert (await gateway.post(LIST)).status_code == 401


@pytest.mark.requirement("token-secrecy")
async def test_a_refused_token_is_in_no_answer(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = gateway.network.issuer.sign(exp=1)
    response = await gateway.post(LIST, token=token)
    for part in token.split("."):
        assert part not in response.text + str(response.headers) + caplog.text
