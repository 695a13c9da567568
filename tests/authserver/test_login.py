import asyncio
import re
from pathlib import Path

import pytest

from authserver.database import open_database
from authserver.one_time_passwords import ATTEMPTS, MAX_FAILURES, OneTimePasswords, Outcome
from tests.authserver.browser import Browser, Page
from tests.authserver.server import ISSUER, JOHN, AuthServer, serving

NOBODY = "nobody@demo.example"


async def at_login(server: AuthServer, **metadata: object) -> tuple[Browser, Page]:
    client = await server.register(**metadata)
    browser = server.browser()
    return browser, await server.authorize(browser, client["client_id"])


async def at_code(server: AuthServer, email: str = JOHN) -> tuple[Browser, Page]:
    browser, page = await at_login(server)
    return browser, await browser.submit(page, email=email)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def newest(server: AuthServer, email: str = JOHN) -> str:
    return (await server.mails(email))[0]["code"]


async def test_the_page_names_who_is_asking(server: AuthServer) -> None:
    _, page = await at_login(server, client_name="Stock agent")
    assert "Stock agent</strong> is requesting access" in page.text


async def test_six_digits_arrive_in_the_inbox_and_the_recipient_is_masked(server: AuthServer) -> None:
    _, page = await at_code(server)
    assert "j•••••@demo.example" in page.text
    assert JOHN not in page.text
    (mail,) = await server.mails()
    assert mail["recipient"] == JOHN
    assert re.fullmatch("[0-9]{6}", mail["code"])
    assert mail["code"] in mail["text"]
    assert "Test agent is requesting access" in mail["text"]
    assert mail["code"] not in page.text


async def test_an_address_is_recognised_in_any_case(server: AuthServer) -> None:
    browser, page = await at_code(server, "  John.Doe@DEMO.example ")
    assert "Allow access?" in (await browser.submit(page, code=await newest(server))).text


@pytest.mark.attack("RFC 6819 §5.1.4.2", "find out who has an account")
async def test_an_unknown_address_sees_exactly_what_a_known_one_sees(server: AuthServer) -> None:
    seen: list[list[str]] = []
    for email in (JOHN, "jxxxxxxx@demo.example"):
        browser, page = await at_code(server, email)
        pages = [page]
        pages.extend([await browser.submit(page, code=f"00000{attempt}") for attempt in range(ATTEMPTS)])
        hidden = [value for shown in pages for value in shown.fields.values()]
        texts = [shown.text for shown in pages]
        for value in {*hidden, page.fields["request"]}:
            texts = [text.replace(value, "…") for text in texts]
        seen.append([str(shown.response.status_code) for shown in pages] + texts)
    assert seen[0] == seen[1]
    assert [mail["recipient"] for mail in await server.mails()] == [JOHN]


async def test_a_wrong_password_leaves_four_more_attempts(server: AuthServer) -> None:
    browser, page = await at_code(server)
    code = await newest(server)
    for _ in range(ATTEMPTS - 1):
        page = await browser.submit(page, code=wrong(code))
        assert page.response.status_code == 400
        assert "That is not the one-time password" in page.text
    assert "Allow access?" in (await browser.submit(page, code=code)).text


@pytest.mark.attack("RFC 6749 §10.10", "guess a one-time password")
async def test_after_five_wrong_passwords_the_right_one_is_void(server: AuthServer) -> None:
    browser, first = await at_code(server)
    code = await newest(server)
    for _ in range(ATTEMPTS - 1):
        await browser.submit(first, code=wrong(code))
    page = await browser.submit(first, code=wrong(code))
    assert "can no longer be used" in page.text
    page = await browser.submit(first, code=code)
    assert "can no longer be used" in page.text
    assert "Start over" in page.text


async def test_restarting_gives_a_new_password_and_voids_the_old_one(server: AuthServer) -> None:
    browser, page = await at_code(server)
    old = await newest(server)
    restarted = await browser.open(page.url.replace("/login/code", "/login"))
    page = await browser.submit(restarted, email=JOHN)
    new = await newest(server)
    if old != new:
        assert "That is not the one-time password" in (await browser.submit(page, code=old)).text
    assert "Allow access?" in (await browser.submit(page, code=new)).text


@pytest.mark.attack("RFC 6819 §5.1.4.2.3", "guess by asking for ever new one-time passwords")
async def test_restarting_over_and_over_gains_no_attempts(server: AuthServer) -> None:
    browser, page = await at_login(server)
    for _ in range(MAX_FAILURES // ATTEMPTS):
        page_for_code = await browser.submit(page, email=JOHN)
        code = await newest(server)
        for _ in range(ATTEMPTS):
            await browser.submit(page_for_code, code=wrong(code))
    page_for_code = await browser.submit(page, email=JOHN)
    refused = await browser.submit(page_for_code, code=await newest(server))
    assert "can no longer be used" in refused.text
    server.clock.seconds += 601
    page_for_code = await browser.submit(page, email=JOHN)
    assert "Allow access?" in (await browser.submit(page_for_code, code=await newest(server))).text


async def test_a_password_lives_for_ten_minutes(server: AuthServer) -> None:
    browser, page = await at_code(server)
    server.clock.seconds += 600
    page = await browser.submit(page, code=await newest(server))
    assert "can no longer be used" in page.text


@pytest.mark.attack("RFC 6819 §5.1.5.4", "use a one-time password again, or in another browser")
async def test_a_password_is_good_once_and_in_its_own_browser(server: AuthServer) -> None:
    browser, page = await at_code(server)
    code = await newest(server)
    thief, stolen = await at_code(server, NOBODY)
    assert "not the one-time password" in (await thief.submit(stolen, code=code)).text
    assert "Allow access?" in (await browser.submit(page, code=code)).text
    again = await browser.submit(page, code=code)
    assert "Allow access?" not in again.text
    assert again.response.status_code == 403


@pytest.mark.parametrize("email", ["", "nonsense", "a@b@c d", "x" * 300 + "@demo.example", "ü@demo.example"])
async def test_what_is_no_address_is_asked_for_again(server: AuthServer, email: str) -> None:
    browser, page = await at_login(server)
    page = await browser.submit(page, email=email)
    assert page.response.status_code == 400
    assert 'role="alert"' in page.text
    assert await server.mails() == []


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "\uff11\uff12\uff13\uff14\uff15\uff16"])
async def test_what_is_no_password_costs_no_attempt(server: AuthServer, code: str) -> None:
    browser, page = await at_code(server)
    for _ in range(ATTEMPTS + 1):
        page = await browser.submit(page, code=code)
    assert "six digits" in page.text
    right = await newest(server)
    assert "Allow access?" in (await browser.submit(page, code=f"{right[:3]} {right[3:]}")).text


async def test_a_second_authorization_needs_no_password(server: AuthServer) -> None:
    first, second = await server.register(), await server.register(client_name="Second agent")
    browser = server.browser()
    await server.code(first["client_id"], browser=browser)
    page = await server.authorize(browser, second["client_id"])
    assert "Second agent" in page.text
    assert "Allow access?" in page.text
    assert len(await server.mails()) == 1


async def test_a_client_can_insist_on_a_new_login(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    await server.code(client["client_id"], browser=browser)
    server.clock.seconds += 10
    page = await server.authorize(browser, client["client_id"], prompt="login")
    assert "/login?" in page.url
    skipped = await browser.open(page.url.replace("/login", "/consent"))
    assert "/login?" in skipped.url
    page = await server.log_in(browser, page)
    assert page.callback["code"]


async def test_a_login_lasts_as_long_as_the_settings_say(tmp_path: Path) -> None:
    async with serving(tmp_path, session_lifetime_seconds=60) as server:
        client = await server.register()
        browser = server.browser()
        await server.code(client["client_id"], browser=browser)
        server.clock.seconds += 60
        assert "/login?" in (await server.authorize(browser, client["client_id"])).url


@pytest.mark.attack("RFC 6265 §8.4", "plant a session cookie before login (session fixation)")
async def test_the_cookie_is_out_of_reach_and_changes_at_login(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    page = await server.authorize(browser, client["client_id"])
    (before,) = browser.http.cookies.jar
    page = await browser.submit(page, email=JOHN)
    response = await browser.http.post(str(page.action), data=page.fields | {"code": await newest(server)})
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    (after,) = browser.http.cookies.jar
    assert before.value != after.value
    planted = server.browser()
    planted.http.cookies.set(before.name, str(before.value))
    assert "expired" in (await planted.open(page.url.replace("/login/code", "/consent"))).text


@pytest.mark.attack("RFC 6265 §8.6", "set the cookie from a sibling host or over http")
async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    async with serving(tmp_path, issuer="https://login.demo.example/oauth") as server:
        client = await server.register()
        response = await server.http.get(
            f"{server.issuer}/authorize",
            params={
                "client_id": client["client_id"],
                "response_type": "code",
                "code_challenge": "x" * 43,
                "code_challenge_method": "S256",
            },
        )
        assert response.headers["set-cookie"].startswith("__Host-authserver=")
        assert "Secure" in response.headers["set-cookie"]
        assert "Path=/" in response.headers["set-cookie"]
        token = await server.token()
        assert (await server.introspect(token)).json()["iss"] == server.issuer


@pytest.mark.attack("RFC 9700 §4.7", "go on in another browser's authorization request")
async def test_a_page_of_another_browser_or_of_the_past_is_expired(server: AuthServer) -> None:
    browser, page = await at_login(server)
    other, _ = await at_login(server)
    for foreign in (await other.open(page.url), await server.browser().open(page.url)):
        assert foreign.response.status_code == 400
        assert "expired" in foreign.text
    assert "expired" in (await browser.open(f"{ISSUER}/login")).text
    server.clock.seconds += 1200
    assert "expired" in (await browser.open(page.url)).text


async def test_the_password_page_without_a_password_leads_back(server: AuthServer) -> None:
    browser, page = await at_login(server)
    skipped = await browser.open(page.url.replace("/login?", "/login/code?"))
    assert "Sign in" in skipped.text
    assert "/login?" in (await browser.open(page.url.replace("/login?", "/consent?"))).url


@pytest.mark.attack("RFC 6819 §4.4.3.6", "try one address's codes in many authorization requests at once")
async def test_guesses_made_at_once_are_no_more_than_guesses_made_in_a_row(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite") as database:
        passwords = OneTimePasswords(database)
        codes = {f"r{n}": await passwords.start(f"r{n}", JOHN, 0) for n in range(3 * MAX_FAILURES)}
        wrong = {request: f"{(int(code) + 1) % 1_000_000:06d}" for request, code in codes.items()}
        attempts = [passwords.attempt(request, code, 1) for request, code in wrong.items()]
        outcomes = [attempt.outcome for attempt in await asyncio.gather(*attempts)]
        assert outcomes.count(Outcome.WRONG) == MAX_FAILURES
        assert (await passwords.attempt("r0", codes["r0"], 2)).outcome is Outcome.OVER
        assert (await passwords.attempt("r0", codes["r0"], 599)).outcome is Outcome.OVER


async def test_right_codes_are_no_failures(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite") as database:
        passwords = OneTimePasswords(database)
        for n in range(MAX_FAILURES + 5):
            code = await passwords.start(f"r{n}", JOHN, 0)
            assert (await passwords.attempt(f"r{n}", code, 1)).outcome is Outcome.RIGHT
