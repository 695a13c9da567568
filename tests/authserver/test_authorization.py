from pathlib import Path

import pytest

from tests.authserver.server import CALLBACK, ISSUER, MCP, AuthServer, Json, serving

OUTSIDE = "https://client.example/cb"


async def error_of(server: AuthServer, **changes: str | None) -> Json:
    client = await server.register()
    page = await server.authorize(server.browser(), client["client_id"], **changes)
    assert page.response.headers["location"].startswith(f"{CALLBACK}?")
    return page.callback


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("unsupported_response_type", {"response_type": "token"}),
        ("unsupported_response_type", {"response_type": "code id_token"}),
        ("invalid_request", {"response_type": None}),
        ("invalid_request", {"response_mode": "fragment"}),
        ("invalid_request", {"code_challenge": None}),
        ("invalid_request", {"code_challenge": None, "code_challenge_method": None}),
        ("invalid_request", {"code_challenge_method": "plain"}),
        ("invalid_request", {"code_challenge_method": None}),
        ("invalid_request", {"code_challenge": "too-short"}),
        ("invalid_request", {"code_challenge": "x" * 42 + "="}),
        ("invalid_scope", {"scope": "stocks/write"}),
        ("invalid_scope", {"scope": "stocks/read admin"}),
        ("invalid_target", {"resource": "https://elsewhere.example/mcp"}),
        ("invalid_target", {"resource": "not a url"}),
        ("invalid_target", {"resource": f"{MCP}//"}),
        ("invalid_target", {"resource": f"{MCP}?x=1"}),
        ("invalid_target", {"resource": "https://api.demo.example"}),
        ("request_not_supported", {"request": "eyJ"}),
        ("request_not_supported", {"request_uri": "https://client.example/request"}),
    ],
)
@pytest.mark.attack(
    "RFC 9700 §2.1.1",
    "leave PKCE out, downgrade it to plain, or name another resource, scope or response type",
)
@pytest.mark.requirement("as-iss")
async def test_an_error_goes_to_the_client_with_state_and_issuer(
    server: AuthServer, error: str, changes: dict[str, str | None]
) -> None:
    callback = await error_of(server, **changes)
    assert callback["error"] == error
    assert callback["state"] == "s1"
    assert callback["iss"] == ISSUER
    assert "code" not in callback


@pytest.mark.attack("RFC 9110 §17.5", "have an oversized state reflected")
async def test_an_overlong_state_is_refused_and_not_sent_back(server: AuthServer) -> None:
    callback = await error_of(server, state="x" * 3000)
    assert callback["error"] == "invalid_request"
    assert "state" not in callback


@pytest.mark.attack("RFC 6749 §3.1", "repeat a parameter so that two readers see two values")
async def test_a_repeated_parameter_is_refused(server: AuthServer) -> None:
    client = await server.register()
    query = f"client_id={client['client_id']}&response_type=code&state=a&state=b&redirect_uri={CALLBACK}"
    response = await server.http.get(f"{ISSUER}/authorize?{query}")
    assert "error=invalid_request" in response.headers["location"]


@pytest.mark.parametrize(
    "query", ["", "client_id=nobody", "client_id=a&client_id=b", "client_id=" + "x" * 9000, "client_id=%ff"]
)
@pytest.mark.attack("RFC 6749 §4.1.2.1", "have an error sent to an address of an unknown client")
async def test_without_a_trusted_client_the_error_is_a_page(server: AuthServer, query: str) -> None:
    response = await server.http.get(f"{ISSUER}/authorize?{query}&redirect_uri=https://evil.example/")
    assert response.status_code in (400, 414)
    assert "location" not in response.headers
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.attack("RFC 6749 §3.1.2.4", "hide a foreign redirect URI behind a registered one")
async def test_two_redirect_uris_in_a_request_are_an_error_on_a_page(server: AuthServer) -> None:
    client = await server.register()
    query = f"client_id={client['client_id']}&redirect_uri={CALLBACK}&redirect_uri=https://evil.example/"
    response = await server.http.get(f"{ISSUER}/authorize?{query}")
    assert response.status_code == 400
    assert "location" not in response.headers


async def test_the_only_registered_redirect_uri_need_not_be_repeated(server: AuthServer) -> None:
    client = await server.register(redirect_uris=[OUTSIDE])
    page = await server.authorize(server.browser(), client["client_id"], redirect_uri=None)
    assert page.response.status_code == 200
    two = await server.register(redirect_uris=[OUTSIDE, CALLBACK])
    page = await server.authorize(server.browser(), two["client_id"], redirect_uri=None)
    assert page.response.status_code == 400


async def test_without_a_scope_the_default_scope_is_asked_for(server: AuthServer) -> None:
    token = await server.token(scope=None)
    assert (await server.introspect(token)).json()["scope"] == "stocks/read"


async def test_every_spelling_of_the_resource_gives_the_one_audience(server: AuthServer) -> None:
    for resource in (None, MCP, f"{MCP}/", "HTTP://127.0.0.1:8080/mcp", "HTTP://127.0.0.1:8080/mcp/"):
        token = await server.token(resource=resource)
        assert (await server.introspect(token)).json()["aud"] == MCP


async def test_a_resource_named_twice_in_two_spellings_is_one(server: AuthServer) -> None:
    client = await server.register()
    query = (
        f"response_type=code&client_id={client['client_id']}&code_challenge_method=S256"
        f"&code_challenge={'x' * 43}&resource={MCP}&resource={MCP}/"
    )
    response = await server.http.get(f"{ISSUER}/authorize?{query}")
    assert response.headers["location"].startswith("/oauth/v2/oauth-anonymous/login?")


async def test_a_redirect_uri_with_a_query_keeps_it(server: AuthServer) -> None:
    client = await server.register(redirect_uris=[f"{OUTSIDE}?tenant=1"])
    browser = server.browser()
    page = await server.authorize(browser, client["client_id"], redirect_uri=f"{OUTSIDE}?tenant=1")
    page = await browser.submit(await server.log_in(browser, page), decision="allow")
    assert page.response.headers["location"].startswith(f"{OUTSIDE}?tenant=1&code=")


async def test_a_state_survives_whatever_characters_it_has(server: AuthServer) -> None:
    state = "a&b=c #ä%20+/?"
    assert (await error_of(server, state=state, scope="nope"))["state"] == state


async def test_a_client_configured_without_the_grant_may_not_authorize(server: AuthServer) -> None:
    page = await server.authorize(server.browser(), "token-broker")
    assert page.response.status_code == 400


async def test_a_configured_client_may_authorize_for_the_audiences_it_was_given(tmp_path: Path) -> None:
    client = {
        "client_id": "console",
        "client_name": "Console",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [CALLBACK],
        "audiences": ["https://api.demo.example"],
    }
    async with serving(tmp_path, clients=[client]) as server:
        page = await server.authorize(server.browser(), "console", resource="https://api.demo.example/")
        assert "Console" in page.text
        page = await server.authorize(server.browser(), "console", resource=MCP)
        assert page.callback["error"] == "invalid_target"
