from typing import Any

import httpx2
import pytest
from mcp.shared.auth import OAuthToken
from mcp.types import CallToolResult, TextContent

from demo.agent import Wallet
from demo.narration import (
    CALL,
    CONNECTED,
    LOGIN,
    REFUSED,
    REGISTERED,
    RESOURCE,
    SERVER,
    TOKEN,
    TOOLS,
    lines_of,
    step_of,
)
from demo.story import USERS, StoryError, check_refusal, check_rows, rows_of
from demo.wire import Actor, Exchange

JOHN = USERS[0]
USA = [{"id": "COM1", "region": "USA", "price": 450.22}, {"id": "COM4", "region": "USA", "price": 180.75}]
CHALLENGE = 'Bearer scope="stocks/read", resource_metadata="http://mcp.test/.well-known/x"'


def exchange(url: str, *, actor: Actor = "agent", status: int = 200, **given: Any) -> Exchange:
    return Exchange(
        actor=actor,
        method=given.get("method", "POST"),
        url=url,
        status=status,
        request_headers=httpx2.Headers(given.get("request_headers")),
        response_headers=httpx2.Headers(given.get("response_headers")),
        form=given.get("form", {}),
        request_json=given.get("request_json", {}),
        response_json=given.get("response_json", {}),
    )


def said(text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def rpc(method: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method}


def test_the_rows_of_ones_own_region_are_accepted() -> None:
    check_rows(JOHN, USA)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        USA[:1],
        [*USA, {"id": "COM2", "region": "Europe", "price": 1.0}],
        [*USA, USA[0]],
        [USA[0], {"id": "COM4", "region": "Europe", "price": 180.75}],
        [USA[0], {"id": "COM4", "region": "USA"}],
    ],
    ids=["none", "too few", "a foreign one", "one twice", "a foreign region", "no price"],
)
def test_any_other_rows_are_an_error(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(StoryError):
        check_rows(JOHN, rows)


def test_a_failed_tool_is_an_error_with_what_it_said() -> None:
    with pytest.raises(StoryError, match="the tool failed: try again"):
        rows_of(said("try again", is_error=True))


@pytest.mark.parametrize("text", ["no json", "{}"])
def test_a_tool_that_says_something_else_is_an_error(text: str) -> None:
    with pytest.raises(StoryError, match="did not return"):
        rows_of(said(text))


def test_a_challenge_that_leads_on_is_accepted() -> None:
    check_refusal([exchange("http://mcp.test", status=401, response_headers={"www-authenticate": CHALLENGE})])


@pytest.mark.parametrize(
    ("status", "challenge"),
    [(200, CHALLENGE), (401, "Bearer"), (401, CHALLENGE + ', error="invalid_token"')],
    ids=["let in", "leads nowhere", "names an error"],
)
def test_any_other_answer_without_a_token_is_an_error(status: int, challenge: str) -> None:
    with pytest.raises(StoryError):
        check_refusal(
            [exchange("http://mcp.test", status=status, response_headers={"www-authenticate": challenge})]
        )


def test_each_exchange_belongs_to_a_step() -> None:
    mcp, issuer = "http://mcp.test/mcp", "http://as.test/p"
    steps = [
        step_of(exchange(mcp, status=401, request_json=rpc("server/discover"))),
        step_of(exchange("http://mcp.test/.well-known/oauth-protected-resource/mcp")),
        step_of(exchange("http://as.test/.well-known/oauth-authorization-server/p")),
        step_of(exchange(issuer + "/register", request_json={"redirect_uris": ["http://127.0.0.1/"]})),
        step_of(exchange(issuer + "/authorize", actor="browser")),
        step_of(exchange(issuer + "/token", form={"grant_type": "authorization_code"})),
        step_of(exchange(mcp, request_json=rpc("initialize"))),
        step_of(exchange(mcp, request_json=rpc("tools/list"))),
        step_of(exchange(mcp, request_json=rpc("tools/call"))),
    ]
    assert steps == [REFUSED, RESOURCE, SERVER, REGISTERED, LOGIN, TOKEN, CONNECTED, TOOLS, CALL]


def test_a_token_answer_is_shown_without_the_token() -> None:
    token = "Siu_" + "x" * 39
    answer = {"access_token": token, "expires_in": 900, "scope": "stocks/read"}
    lines = lines_of(
        exchange(
            "http://as.test/token",
            form={"grant_type": "authorization_code"},
            request_headers={"authorization": f"Bearer {token}"},
            response_json=answer,
        ),
        TOKEN,
    )
    shown = "\n".join(lines)
    assert "access_token: Siu_…(opaque, 43 chars)" in shown
    assert "expires_in: 900" in shown
    assert token not in shown


def test_a_long_query_is_shown_line_by_line() -> None:
    lines = lines_of(exchange("http://as.test/a?a=1&b=2&c=3&d=4", method="GET", actor="browser"), LOGIN)
    assert lines[:5] == ["GET http://as.test/a", "    ?a=1", "    &b=2", "    &c=3", "    &d=4"]


async def test_a_wallet_keeps_tokens_and_does_not_show_them() -> None:
    wallet = Wallet()
    await wallet.set_tokens(OAuthToken(access_token="secret-token"))
    assert await wallet.get_tokens() is wallet.tokens
    assert "secret-token" not in repr(wallet)
