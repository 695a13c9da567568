from itertools import product
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.authserver.server import JANE, JOHN, AuthServer
from tests.browser.conftest import PASSWORD
from tests.browser.user import User

# One browser for all tests, which therefore share its event loop.
pytestmark = pytest.mark.asyncio(loop_scope="session")

WINDOWS: dict[str, dict[str, Any]] = {
    f"{scheme}-{width}": {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    for scheme, width in product(("light", "dark"), (1100, 320))
}


async def new_client(server: AuthServer, name: str = "Stock agent") -> str:
    return str((await server.register(client_name=name))["client_id"])


async def test_a_user_signs_in_by_mail_and_lets_an_agent_in(chromium: Browser, server: AuthServer) -> None:
    client_id = await new_client(server)
    async with User.at(chromium, server) as user:
        inbox = await user.context.new_page()
        await inbox.goto(f"{server.origin}/inbox")
        await expect(inbox.get_by_text("No mail yet")).to_be_visible()
        await user.page.bring_to_front()
        await user.authorize(client_id)
        await expect(user.page).to_have_title("Sign in")
        await user.reads("Stock agent is requesting access")
        await user.page.get_by_label("Email address").fill(JOHN)
        await user.press("Send one-time password")
        await inbox.bring_to_front()
        await expect(inbox.get_by_role("listitem")).to_have_count(1)
        await expect(inbox.get_by_text("No mail yet")).to_be_hidden()
        code = await inbox.locator(".mail-code").first.inner_text()
        await user.page.bring_to_front()
        await user.page.get_by_label("One-time password").fill(code)
        await user.press("Continue")
        await user.reads("See the current prices of the stocks of your region")
        await user.press("Allow")
        answer = await user.answered()
        assert answer["iss"] == server.issuer
    response = await server.redeem(client_id, answer["code"])
    assert (await server.introspect(response.json()["access_token"])).json()["active"] is True


async def test_the_whole_way_can_be_gone_with_the_keyboard(chromium: Browser, server: AuthServer) -> None:
    async with User.at(chromium, server) as user:
        await user.authorize(await new_client(server))
        # Keys pressed before the field has the focus go nowhere, for a person as for a test.
        await expect(user.page.get_by_label("Email address")).to_be_focused()
        await user.page.keyboard.type(JOHN)
        await user.page.keyboard.press("Enter")
        await expect(user.page.get_by_label("One-time password")).to_be_focused()
        await user.page.keyboard.type((await server.mails(JOHN))[0]["code"])
        await user.page.keyboard.press("Enter")
        await expect(user.page).to_have_title("Allow access?")
        await user.page.wait_for_load_state()
        for _ in range(3):
            await user.page.keyboard.press("Tab")
            if await user.page.get_by_role("button", name="Allow").evaluate("e => e.matches(':focus')"):
                break
        await user.page.keyboard.press("Enter")
        assert "code" in await user.answered()


async def test_a_wrong_password_is_explained_beside_its_field(chromium: Browser, server: AuthServer) -> None:
    async with User.at(chromium, server) as user:
        await user.authorize(await new_client(server))
        await user.page.get_by_label("Email address").fill("nobody@demo.example")
        await user.press("Send one-time password")
        await user.page.get_by_label("One-time password").fill("123456")
        await user.press("Continue")
        field = user.page.get_by_label("One-time password")
        await expect(field).to_have_accessible_description("That is not the one-time password.")
        await user.looks("wrong-password", "Enter your one-time password")


async def test_cancelling_sends_the_user_back_without_a_code(chromium: Browser, server: AuthServer) -> None:
    async with User.at(chromium, server) as user:
        await user.authorize(await new_client(server))
        await user.sign_in()
        await user.press("Cancel")
        answer = await user.answered()
    assert answer["error"] == "access_denied"
    assert "code" not in answer


async def test_a_user_withdraws_what_an_agent_may_do(chromium: Browser, server: AuthServer) -> None:
    client_id, other = await new_client(server), await new_client(server, "Other agent")
    async with User.at(chromium, server) as user:
        await user.open("agents")
        await user.sign_in()
        token, kept = await user.allow(client_id), await user.allow(other)
        await user.open("agents")
        await user.press("Withdraw access of Stock agent")
        await user.reads("withdrawn just now")
        assert (await server.introspect(token)).json() == {"active": False}
        assert (await server.introspect(kept)).json()["active"] is True
        await user.authorize(client_id)
        await expect(user.page).to_have_title("Allow access?")
        await user.open("agents")
        await user.press("Sign out")
        await expect(user.page).to_have_title("Sign in")


async def test_an_administrator_revokes_a_delegation(chromium: Browser, server: AuthServer) -> None:
    token = await server.token(JANE, await new_client(server))
    async with User.at(chromium, server) as admin:
        await admin.open("admin")
        await admin.page.get_by_label("Password").fill(PASSWORD)
        await admin.press("Continue")
        await expect(admin.page).to_have_title("Administration")
        await admin.press(f"Revoke what Stock agent may do for {JANE}")
        await admin.reads("Revoked just now")
    assert (await server.introspect(token)).json() == {"active": False}


async def test_without_scripts_the_inbox_reloads_itself(chromium: Browser, server: AuthServer) -> None:
    async with User.at(chromium, server, java_script_enabled=False) as user:
        await user.page.goto(f"{server.origin}/inbox")
        await server.token()
        await expect(user.page.get_by_text("To continue, enter the one-time password")).to_be_visible()


@pytest.mark.parametrize("window", WINDOWS)
async def test_every_page_fits_into_every_window(chromium: Browser, server: AuthServer, window: str) -> None:
    await server.token(JOHN, await new_client(server, "Withdrawn agent"))
    await server.token(JOHN, await new_client(server, "An agent with a rather long name that goes on and on"))
    server.clock.seconds += 900
    client_id = await new_client(server)
    async with User.at(chromium, server, **WINDOWS[window]) as user:
        await user.authorize(client_id)
        await user.looks(f"{window}-email", "Sign in")
        await user.page.get_by_label("Email address").fill(JOHN)
        await user.press("Send one-time password")
        await user.looks(f"{window}-code", "Enter your one-time password")
        await user.page.get_by_label("One-time password").fill((await server.mails(JOHN))[0]["code"])
        await user.press("Continue")
        await user.looks(f"{window}-consent", "Allow access?")
        await user.press("Allow")
        code = (await user.answered())["code"]
        await server.introspect((await server.redeem(client_id, code)).json()["access_token"])
        await user.open("agents")
        await user.press("Withdraw access of Withdrawn agent")
        await user.reads("withdrawn just now")
        await user.looks(f"{window}-agents", "Your agents")
        await user.page.goto(f"{server.origin}/inbox")
        await user.looks(f"{window}-inbox", "Inbox")
        await user.open("authorize")
        await user.looks(f"{window}-error", "This request cannot be accepted")
        await user.open("admin")
        await user.looks(f"{window}-admin-login", "Administration")
        await user.page.get_by_label("Password").fill(PASSWORD)
        await user.press("Continue")
        await user.reads("Signing keys")
        await user.looks(f"{window}-admin", "Administration")
