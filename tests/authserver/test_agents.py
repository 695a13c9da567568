from pathlib import Path

import pytest

from authserver.durations import ago, lasting
from tests.authserver.browser import Browser, Page
from tests.authserver.server import API, ISSUER, JANE, JOHN, MCP, AuthServer, serving

AGENTS = f"{ISSUER}/agents"


async def signed_in(server: AuthServer, email: str = JOHN) -> tuple[Browser, Page]:
    browser = server.browser()
    return browser, await server.log_in(browser, await browser.open(AGENTS), email)


async def granted(server: AuthServer, email: str = JOHN, **metadata: object) -> tuple[str, str]:
    """A new client and its token."""
    client_id = str((await server.register(**metadata))["client_id"])
    return client_id, await server.token(email, client_id)


async def withdraw(browser: Browser, client_id: str) -> Page:
    page = await browser.open(AGENTS)
    form = {"csrf": page.fields["csrf"], "client": client_id, "audience": MCP}
    response = await browser.http.post(f"{AGENTS}/withdraw", data=form)
    assert response.headers["location"] == "/oauth/v2/oauth-anonymous/agents"
    return await browser.open(AGENTS)


async def test_the_page_is_reached_without_an_application_by_the_same_login(server: AuthServer) -> None:
    browser = server.browser()
    page = await browser.open(AGENTS)
    assert page.url == f"{AGENTS}/login"
    assert "is requesting access" not in page.text
    page = await browser.submit(page, email=JOHN)
    (mail,) = await server.mails(JOHN)
    assert "You are signing in to see your agents" in mail["text"]
    page = await browser.submit(page, code=mail["code"])
    assert page.url == AGENTS
    assert "No application may act for you" in page.text
    assert JOHN in page.text


async def test_the_user_sees_who_may_do_what_since_when_and_when_it_was_used(tmp_path: Path) -> None:
    async with serving(tmp_path, display_names={MCP: "Stocks over MCP"}) as server:
        _, token = await granted(server, client_name="Stock agent")
        server.clock.seconds += 120
        await server.introspect(token)
        server.clock.seconds += 180
        _, page = await signed_in(server)
    for text in (
        "Stock agent",
        "Stocks over MCP",
        "127.0.0.1:3000",
        "See the current prices of the stocks of your region",
        "<dd>5 min ago</dd>",
        "<dd>3 min ago</dd>",
        "Active",
        "for 10 min more",
    ):
        assert text in page.text


async def test_an_exchange_is_a_use_as_well(server: AuthServer) -> None:
    _, token = await granted(server)
    browser, page = await signed_in(server)
    assert "Not known" in page.text
    await server.exchange(token)
    assert "Not known" not in (await browser.open(AGENTS)).text


async def test_last_uses_survive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        _, token = await granted(server)
        await server.introspect(token)
    async with serving(tmp_path) as server:
        _, page = await signed_in(server)
        assert "Not known" not in page.text


async def test_withdrawing_ends_every_token_at_once_and_the_next_authorization_asks(
    server: AuthServer,
) -> None:
    client_id, first = await granted(server)
    browser, _ = await signed_in(server)
    second = (
        await server.redeem(client_id, (await server.authorize(browser, client_id)).callback["code"])
    ).json()["access_token"]
    derived = (await server.exchange(first)).json()["access_token"]
    page = await withdraw(browser, client_id)
    assert "Withdrawn" in page.text
    for token in (first, second, derived):
        assert (await server.introspect(token)).json() == {"active": False}
        assert (await server.introspect(token, "application/jwt")).status_code == 204
        assert (await server.exchange(token)).json()["error"] == "invalid_grant"
    assert "Allow access?" in (await server.authorize(browser, client_id)).text


@pytest.mark.attack("RFC 7009 §2.1", "keep a code for after the withdrawal")
async def test_a_code_that_was_not_redeemed_yet_is_withdrawn_as_well(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    browser, page = await signed_in(server)
    assert "may start again without asking you" in page.text
    await withdraw(browser, client_id)
    assert (await server.redeem(client_id, code)).json()["error"] == "invalid_grant"
    assert "No application may act for you" in (await browser.open(AGENTS)).text


async def test_withdrawing_touches_neither_other_users_nor_other_clients(server: AuthServer) -> None:
    client_id, johns = await granted(server)
    janes = await server.token(JANE, client_id)
    _, other = await granted(server)
    browser, _ = await signed_in(server)
    await withdraw(browser, client_id)
    for token, active in ((johns, False), (janes, True), (other, True)):
        assert (await server.introspect(token)).json()["active"] is active


@pytest.mark.attack("RFC 7009 §5", "withdraw what is somebody else's")
async def test_what_is_not_the_users_own_cannot_be_withdrawn(server: AuthServer) -> None:
    client_id, johns = await granted(server)
    browser, _ = await signed_in(server, JANE)
    page = await withdraw(browser, client_id)
    assert "No application may act for you" in page.text
    assert (await server.introspect(johns)).json()["active"] is True


async def test_an_agent_without_good_tokens_is_idle_until_its_consent_is_withdrawn(
    server: AuthServer,
) -> None:
    client_id, _ = await granted(server)
    server.clock.seconds += 900
    browser, page = await signed_in(server)
    assert "may start again without asking you" in page.text
    page = await withdraw(browser, client_id)
    assert "may start again" not in page.text
    assert "withdrawn just now" in page.text


async def test_a_client_that_cannot_be_looked_up_any_more_can_still_be_withdrawn(tmp_path: Path) -> None:
    agent = {
        "client_id": "old-agent",
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["http://127.0.0.1:3000/callback"],
    }
    async with serving(tmp_path, clients=[agent]) as server:
        token = await server.token(client_id="old-agent")
    async with serving(tmp_path) as server:
        browser, page = await signed_in(server)
        assert "An application without a name" in page.text
        await withdraw(browser, "old-agent")
        assert (await server.introspect(token)).json() == {"active": False}


async def test_signing_out_ends_the_session(server: AuthServer) -> None:
    browser, page = await signed_in(server)
    before = {cookie.name: cookie.value for cookie in browser.http.cookies.jar}
    await browser.http.post(f"{AGENTS}/sign-out", data={"csrf": page.fields["csrf"]})
    assert (await browser.open(AGENTS)).url == f"{AGENTS}/login"
    stolen = server.browser()
    for name, value in before.items():
        stolen.http.cookies.set(name, str(value))
    assert (await stolen.open(AGENTS)).url == f"{AGENTS}/login"


@pytest.mark.parametrize("path", ["withdraw", "sign-out", "login", "login/code"])
@pytest.mark.attack("RFC 6749 §10.12", "withdraw consent or sign out by CSRF")
async def test_a_form_from_elsewhere_changes_nothing(server: AuthServer, path: str) -> None:
    client_id, token = await granted(server)
    browser, _ = await signed_in(server)
    other, theirs = await signed_in(server, JANE)
    for csrf in ("", "x" * 43, theirs.fields["csrf"]):
        form = {"csrf": csrf, "client": client_id, "audience": MCP, "email": JANE, "code": "000000"}
        assert (await browser.http.post(f"{AGENTS}/{path}", data=form)).status_code == 403
    assert (await server.http.post(f"{AGENTS}/{path}", data={"csrf": "x"})).status_code == 400
    assert (await server.introspect(token)).json()["active"] is True
    assert (await browser.open(AGENTS)).url == AGENTS
    assert (await other.open(AGENTS)).url == AGENTS


@pytest.mark.attack("RFC 6819 §5.1.5.4", "use a one-time password for another page than it was asked for")
async def test_a_password_for_one_purpose_is_good_for_no_other(server: AuthServer) -> None:
    browser = server.browser()
    agents = await browser.submit(await browser.open(AGENTS), email=JOHN)
    code = (await server.mails(JOHN))[0]["code"]
    client = await server.register()
    page = await browser.submit(await server.authorize(browser, client["client_id"]), email=JANE)
    assert (await server.mails(JANE))[0]["code"] != code
    assert (await browser.submit(page, code=code)).response.status_code == 400
    assert (await browser.submit(agents, code=code)).url == AGENTS


async def test_consent_for_another_resource_stays(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        client_id, token = await granted(server)
        browser, page = await signed_in(server)
        form = {"csrf": page.fields["csrf"], "client": client_id, "audience": API}
        await browser.http.post(f"{AGENTS}/withdraw", data=form)
        assert (await server.introspect(token)).json()["active"] is True


@pytest.mark.parametrize(
    ("seconds", "past", "left"),
    [
        (0, "just now", "less than a minute"),
        (59, "just now", "less than a minute"),
        (60, "1 min ago", "1 min"),
        (3599, "59 min ago", "59 min"),
        (7200, "2 h ago", "2 h"),
        (200_000, "2 d ago", "2 d"),
    ],
)
def test_times_are_shown_in_words(seconds: int, past: str, left: str) -> None:
    assert (ago(seconds), lasting(seconds)) == (past, left)
