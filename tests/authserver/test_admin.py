import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from authserver.__main__ import with_admin_password
from authserver.admin_sessions import MAX_FAILURES
from authserver.database import open_database
from tests.authserver.browser import Browser, Page
from tests.authserver.server import BROKER, ISSUER, JANE, JOHN, AuthServer, serving, settings
from tests.authserver.test_agents import withdraw
from tests.support.issuer import ec_key

ADMIN = f"{ISSUER}/admin"
PASSWORD = "a password of one server alone"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    async with serving(tmp_path, admin_password=PASSWORD) as running:
        yield running


async def administrator(server: AuthServer, browser: Browser | None = None) -> tuple[Browser, Page]:
    browser = browser or server.browser()
    return browser, await browser.submit(await browser.open(ADMIN), password=PASSWORD)


async def test_the_page_has_a_login_of_its_own(server: AuthServer) -> None:
    browser = server.browser()
    page = await browser.open(ADMIN)
    assert page.url == f"{ADMIN}/login"
    refused = await browser.submit(page, password=f"{PASSWORD}x")
    assert refused.response.status_code == 403
    assert "That is not the password" in refused.text
    assert (await browser.submit(page, password=PASSWORD)).url == ADMIN


@pytest.mark.attack("RFC 6819 §5.1.4.1.1", "administer with a user's session")
async def test_a_users_login_does_not_administer(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    await server.code(client["client_id"], browser=browser)
    assert (await browser.open(ADMIN)).url == f"{ADMIN}/login"


async def test_without_a_password_nobody_administers(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        browser = server.browser()
        for password in ("", "admin", "None", "**********"):
            page = await browser.submit(await browser.open(ADMIN), password=password)
            assert page.response.status_code == 403


@pytest.mark.parametrize("given", ["short", "", "both", "unreadable"])
def test_a_password_that_cannot_be_meant_is_refused_at_start(tmp_path: Path, given: str) -> None:
    file = tmp_path / "password"
    changes = {
        "short": {"admin_password": "admin"},
        "": {"admin_password": ""},
        "both": {"admin_password": PASSWORD, "admin_password_file": file},
        "unreadable": {"admin_password_file": file},
    }[given]
    with pytest.raises(ValidationError):
        settings(tmp_path / "x", ec_key(), **changes)


async def test_the_password_can_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    async with serving(tmp_path, admin_password_file=tmp_path / "password") as server:
        _, page = await administrator(server)
        assert page.url == ADMIN


def test_a_start_without_a_password_shows_one_that_was_never_used_before(tmp_path: Path) -> None:
    shown: list[str] = []
    for _ in range(2):
        said: list[str] = []
        completed = with_admin_password(settings(tmp_path / "x", ec_key()), said.append)
        match = re.fullmatch(rf"admin page {ADMIN}, password (\S{{24}})\n", said[0])
        assert match is not None
        assert completed.admin_password == SecretStr(match[1])
        shown.append(match[1])
        assert with_admin_password(completed, said.append) is completed
        assert len(said) == 1
    assert shown[0] != shown[1]


@pytest.mark.attack("RFC 6749 §10.10", "guess the admin password")
async def test_guessing_is_stopped_for_a_minute(server: AuthServer) -> None:
    browser = server.browser()
    page = await browser.open(ADMIN)
    for _ in range(MAX_FAILURES):
        assert (await browser.submit(page, password="guess")).response.status_code == 403
    assert (await browser.submit(page, password=PASSWORD)).response.status_code == 429
    server.clock.seconds += 60
    assert (await browser.submit(page, password=PASSWORD)).url == ADMIN


async def test_clients_delegations_keys_and_what_happened_are_shown(server: AuthServer) -> None:
    client = await server.register(client_name="Stock agent")
    token = await server.token(JOHN, client["client_id"])
    kid = (await server.http.get(f"{ISSUER}/jwks")).json()["keys"][0]["kid"]
    _, page = await administrator(server)
    delegation = (await server.introspect(token)).json()["delegationId"]
    for text in (
        *("Stock agent", client["client_id"], BROKER, JOHN, kid, delegation),
        *("Client registered", "Consent given", "Delegation began", "Signed in", "Signing key made"),
        *("registration", "configuration", "127.0.0.1:3000", "<code>stocks/read</code>"),
    ):
        assert text in page.text


async def test_no_secret_is_shown(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_basic")
    code = await server.code(client["client_id"])
    token = await server.token()
    browser, page = await administrator(server)
    private = json.loads(await private_key(server))["d"]
    cookies = [str(cookie.value) for cookie in browser.http.cookies.jar]
    for secret in (client["client_secret"], code, token, private, PASSWORD, *cookies):
        assert secret not in page.text
    for mail in await server.mails():
        assert mail["code"] not in re.sub(r"<code>[^<]*</code>|value=\"[^\"]*\"", "", page.text)


async def private_key(server: AuthServer) -> str:
    async with open_database(server.state_files()[0]) as database:
        row = await database.first("SELECT private_jwk FROM signing_keys")
        assert row is not None
        return str(row["private_jwk"])


async def test_revoking_ends_one_delegation_and_makes_its_client_ask_again(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    user = server.browser()
    johns = (await server.redeem(client_id, await server.code(client_id, browser=user))).json()
    janes = await server.token(JANE, client_id)
    browser, page = await administrator(server)
    delegation = (await server.introspect(johns["access_token"])).json()["delegationId"]
    form = {"csrf": page.fields["csrf"], "delegation": delegation}
    await browser.http.post(f"{ADMIN}/revoke", data=form)
    assert (await server.introspect(johns["access_token"])).json() == {"active": False}
    assert (await server.introspect(janes)).json()["active"] is True
    assert "Allow access?" in (await server.authorize(user, client_id)).text
    text = (await browser.open(ADMIN)).text
    assert "Revoked just now" in text
    assert "Delegation revoked" in text


async def test_who_ended_a_delegation_and_why_is_shown(server: AuthServer) -> None:
    client = await server.register()
    client_id, user = client["client_id"], server.browser()

    async def ended() -> list[str]:
        _, page = await administrator(server)
        server.clock.seconds += 1
        return re.findall(r'Delegation revoked <span class="soft">([^<]*)</span>', page.text)

    await server.redeem(client_id, await server.code(client_id, browser=user))
    await withdraw(user, client_id)
    assert await ended() == ["The user withdrew what they had allowed"]

    token = await server.token(client_id=client_id)
    browser, page = await administrator(server)
    delegation = (await server.introspect(token)).json()["delegationId"]
    form = {"csrf": page.fields["csrf"], "delegation": delegation}
    await browser.http.post(f"{ADMIN}/revoke", data=form)
    assert (await ended())[0] == "An administrator ended the delegation"

    token = await server.token(client_id=client_id)
    await server.post("revoke", {"token": token, "client_id": client_id})
    assert (await ended())[0] == f"The client {client_id} revoked a token"

    code = await server.code(client_id, prompt="consent")
    for _ in range(2):
        await server.redeem(client_id, code)
    assert (await ended())[0] == "An authorization code was used twice"

    await server.token(client_id=client_id, prompt="consent")
    withdrawal = {"authorization": f"Bearer {client['registration_access_token']}"}
    await server.http.delete(client["registration_client_uri"], headers=withdrawal)
    assert (await ended())[0] == "The client withdrew its registration"
    assert len(await ended()) == 5


async def test_an_unknown_delegation_is_no_error(server: AuthServer) -> None:
    browser, page = await administrator(server)
    form = {"csrf": page.fields["csrf"], "delegation": "unknown"}
    assert (await browser.http.post(f"{ADMIN}/revoke", data=form)).status_code == 303


@pytest.mark.attack("RFC 6749 §10.12", "revoke without being an administrator, or by CSRF")
async def test_who_is_no_administrator_revokes_nothing(server: AuthServer) -> None:
    token = await server.token()
    delegation = (await server.introspect(token)).json()["delegationId"]
    browser = server.browser()
    page = await browser.open(ADMIN)
    form = {"csrf": page.fields["csrf"], "delegation": delegation}
    assert (await browser.http.post(f"{ADMIN}/revoke", data=form)).status_code == 303
    admin, _ = await administrator(server)
    for csrf in ("", page.fields["csrf"]):
        foreign = form | {"csrf": csrf}
        assert (await admin.http.post(f"{ADMIN}/revoke", data=foreign)).status_code == 403
    assert (await server.introspect(token)).json()["active"] is True


async def test_the_cookie_changes_when_it_comes_to_administer_and_the_users_login_stays(
    server: AuthServer,
) -> None:
    client = await server.register()
    browser = server.browser()
    await server.code(client["client_id"], browser=browser)
    (before,) = browser.http.cookies.jar
    _, page = await administrator(server, browser)
    (after,) = browser.http.cookies.jar
    assert before.value != after.value
    planted = server.browser()
    planted.http.cookies.set(before.name, str(before.value))
    assert (await planted.open(ADMIN)).url == f"{ADMIN}/login"
    assert (await browser.open(f"{ISSUER}/agents")).url == f"{ISSUER}/agents"
    await browser.http.post(f"{ADMIN}/logout", data={"csrf": page.fields["csrf"]})
    assert (await browser.open(ADMIN)).url == f"{ADMIN}/login"
    assert (await browser.open(f"{ISSUER}/agents")).url == f"{ISSUER}/agents"


async def test_administering_ends_after_an_hour(server: AuthServer) -> None:
    browser, _ = await administrator(server)
    server.clock.seconds += 3599
    assert (await browser.open(ADMIN)).url == ADMIN
    server.clock.seconds += 1
    assert (await browser.open(ADMIN)).url == f"{ADMIN}/login"


@pytest.mark.attack("RFC 7591 §5", "put HTML into what an administrator sees")
async def test_names_chosen_by_clients_are_shown_as_text(server: AuthServer) -> None:
    await server.token(
        client_id=(await server.register(client_name="<script>alert(1)</script>"))["client_id"]
    )
    _, page = await administrator(server)
    assert "<script" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
