"""The approval page in a real browser: the whole way from the address that an agent names to the answer."""

from collections.abc import AsyncGenerator
from itertools import product
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from demo.inbox import newest_password
from demo.stack import Stack, StackOptions, running_stack
from mcp_gateway.approvals.gate import APPROVAL_URL
from tests.browser.user import SCREENSHOTS
from tests.support.messages import LEGACY, call_message
from tests.support.system import JOHN
from tests.support.trader import trading_token

pytestmark = pytest.mark.asyncio(loop_scope="session")

WINDOWS: dict[str, dict[str, Any]] = {
    f"{scheme}-{width}": {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    for scheme, width in product(("light", "dark"), (1100, 320))
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    async with running_stack(StackOptions(logs=tmp_path_factory.mktemp("approvals"))) as own:
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def token(stack: Stack) -> str:
    async with httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(30.0)) as http:
        return await trading_token(stack, http, JOHN)


async def asked(stack: Stack, token: str, key: str) -> dict[str, Any]:
    terms = {"symbol": "COM1", "side": "buy", "quantity": 2, "limit_price": "460"}
    message = call_message("place-order", **terms, idempotency_key=key)
    headers = LEGACY | {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(30.0)) as http:
        return (await http.post(stack.addresses.mcp, json=message, headers=headers)).json()["result"]


async def sign_in(stack: Stack, page: Page) -> None:
    """Go through the authorization server, by keyboard alone, to the approval page."""
    await expect(page.get_by_label("Email address")).to_be_focused()
    await page.keyboard.type(JOHN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("One-time password")).to_be_focused()
    await page.keyboard.type(await newest_password(stack.addresses.inbox, JOHN))
    await page.keyboard.press("Enter")
    allow = page.get_by_role("button", name="Allow")
    arrived = page.get_by_role("heading", name="Place an order")
    await expect(allow.or_(arrived)).to_be_visible()
    if await allow.is_visible():
        # Asked once: the next approval needs no more than the sign-in.
        await allow.press("Enter")
    await expect(arrived).to_be_visible()


async def looks(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    wider: bool = await page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not wider, f"{name} is wider than the window"


@pytest.mark.parametrize("window", WINDOWS)
async def test_a_user_reads_what_would_be_done_and_decides_with_the_keyboard(
    chromium: Browser, stack: Stack, token: str, window: str
) -> None:
    key = f"browser-{window}"
    url = (await asked(stack, token, key))["_meta"][APPROVAL_URL]
    complaints: list[str] = []
    context = await chromium.new_context(**WINDOWS[window])
    context.on("console", lambda message: complaints.append(message.text))
    page = await context.new_page()
    await page.goto(url)
    await sign_in(stack, page)
    for shown in ("COM1", "buy", "460", "Answer within"):
        await expect(page.locator("main")).to_contain_text(shown)
    await looks(page, f"approval-{window}")
    approve = window.startswith("light")
    for _ in range(2 if approve else 1):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Approved" if approve else "Denied")).to_be_visible()
    await looks(page, f"approval-decided-{window}")
    await context.close()
    assert complaints == []
    assert (await asked(stack, token, key))["isError"] is not approve
