from pathlib import Path

from authserver.policy import Policy, ScopePolicy
from tests.authserver.browser import Browser, Page
from tests.authserver.server import CALLBACK, ISSUER, JANE, JOHN, MCP, AuthServer, serving


async def at_consent(server: AuthServer, email: str = JOHN, **metadata: object) -> tuple[Browser, Page, str]:
    client = await server.register(**metadata)
    browser = server.browser()
    redirect_uri = client["redirect_uris"][0]
    page = await server.authorize(browser, client["client_id"], redirect_uri=redirect_uri)
    return browser, await server.log_in(browser, page, email), client["client_id"]


async def test_the_user_reads_who_wants_what_in_words(tmp_path: Path) -> None:
    async with serving(tmp_path, display_names={MCP: "Stocks over MCP"}) as server:
        _, page, _ = await at_consent(server, JANE)
    for text in (
        "Test agent",
        "Stocks over MCP",
        JANE,
        "See the current prices of the stocks of your region",
        "Europe",
        "127.0.0.1:3000",
        "Development authorization server",
    ):
        assert text in page.text
    for hidden in ("client_type", "assurance", "mcp</", "stocks/read"):
        assert hidden not in page.text


async def test_a_program_on_the_users_own_machine_comes_with_a_warning(server: AuthServer) -> None:
    _, local, _ = await at_consent(server)
    assert "runs on your own computer" in local.text
    _, remote, _ = await at_consent(server, redirect_uris=["https://agent.example/cb"])
    assert "runs on your own computer" not in remote.text
    assert "agent.example" in remote.text


async def test_cancelling_tells_the_client_and_gives_no_code(server: AuthServer) -> None:
    browser, page, client_id = await at_consent(server)
    page = await browser.submit(page, decision="cancel")
    assert page.response.headers["location"].startswith(f"{CALLBACK}?")
    assert page.callback == {
        "error": "access_denied",
        "error_description": "The user did not agree",
        "state": "s1",
        "iss": ISSUER,
    }
    assert "Allow access?" in (await server.authorize(browser, client_id)).text


async def test_consent_is_remembered_for_this_user_and_client(server: AuthServer) -> None:
    browser, page, client_id = await at_consent(server)
    await browser.submit(page, decision="allow")
    assert (await server.authorize(browser, client_id)).callback["code"]
    asked_anyway = await server.authorize(browser, client_id, prompt="consent")
    assert "Allow access?" in asked_anyway.text
    other_client = await server.register()
    assert "Allow access?" in (await server.authorize(browser, other_client["client_id"])).text
    elsewhere = server.browser()
    page = await server.log_in(elsewhere, await server.authorize(elsewhere, client_id), JANE)
    assert "Allow access?" in page.text


async def test_more_scopes_than_before_are_asked_about(tmp_path: Path) -> None:
    policy = Policy(
        scopes={
            "stocks/read": ScopePolicy(description="Read prices", purpose="read"),
            "stocks/trade": ScopePolicy(description="Buy and sell", purpose="trade"),
        },
        default_scope=frozenset({"stocks/read"}),
    )
    async with serving(tmp_path, policy=policy) as server:
        browser, page, client_id = await at_consent(server)
        assert "Buy and sell" not in page.text
        await browser.submit(page, decision="allow")
        page = await server.authorize(browser, client_id, scope="stocks/read stocks/trade")
        # What is new stands out; on a first visit everything would be, so nothing is marked.
        assert 'Buy and sell <span class="new">' in page.text
        assert "<li>Read prices</li>" in page.text
        await browser.submit(page, decision="allow")
        for scope in ("stocks/read", "stocks/trade", "stocks/read stocks/trade"):
            assert (await server.authorize(browser, client_id, scope=scope)).callback["code"]


async def test_policy_can_do_without_consent(tmp_path: Path) -> None:
    free = ScopePolicy(description="Read prices", purpose="read", consent_required=False)
    policy = Policy(scopes={"stocks/read": free}, default_scope=frozenset({"stocks/read"}))
    async with serving(tmp_path, policy=policy) as server:
        _, page, _ = await at_consent(server)
        assert page.callback["code"]


async def test_a_decision_is_made_once(server: AuthServer) -> None:
    browser, page, _ = await at_consent(server)
    await browser.submit(page, decision="allow")
    again = await browser.submit(page, decision="allow")
    assert again.response.status_code == 400
    assert "expired" in again.text


async def test_neither_yes_nor_no_is_no_answer(server: AuthServer) -> None:
    browser, page, _ = await at_consent(server)
    for decision in ("", "Allow", "yes"):
        answer = await browser.submit(page, decision=decision)
        assert answer.response.status_code == 400
        assert "location" not in answer.response.headers
    assert (await browser.submit(page, decision="allow")).callback["code"]


async def test_the_account_can_be_changed_on_the_way(server: AuthServer) -> None:
    browser, page, _ = await at_consent(server, JOHN)
    page = await browser.open(page.url.replace("/consent", "/login"))
    page = await server.log_in(browser, page, JANE)
    assert JANE in page.text
    assert JOHN not in page.text
    assert "Europe" in page.text


async def test_a_decision_without_login_is_not_taken(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    page = await server.authorize(browser, client["client_id"])
    response = await browser.http.post(f"{ISSUER}/consent", data=page.fields | {"decision": "allow"})
    assert response.status_code == 303
    assert "/login?" in response.headers["location"]
