"""Somebody at a browser."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect

from tests.authserver.server import CALLBACK, JOHN, AuthServer, authorization_request

SCREENSHOTS: Final = Path(__file__).parents[2] / ".cache" / "screenshots"


class User:
    """One browser window, and what came back to the client from it."""

    def __init__(self, server: AuthServer, context: BrowserContext, page: Page) -> None:
        self.server = server
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        self.answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    @classmethod
    @asynccontextmanager
    async def at(cls, chromium: Browser, server: AuthServer, **settings: Any) -> AsyncGenerator[Self]:
        """A fresh browser; at its end, nothing on any page was refused by the page's own policy."""
        context = await chromium.new_context(**settings)
        user = cls(server, context, await context.new_page())
        context.on("console", user.heard)
        await context.route(f"{CALLBACK}**", user.called_back)
        yield user
        await context.close()
        assert user.complaints == []

    def heard(self, message: ConsoleMessage) -> None:
        # A form that is refused is an HTTP error to the console; what a page's policy stops is what counts.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    async def called_back(self, route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        await route.fulfill(body="<title>Back at the application</title>", content_type="text/html")
        if not self.answer.done():
            self.answer.set_result({name: values[0] for name, values in query.items()})

    async def authorize(self, client_id: str) -> None:
        """Be sent here by a client."""
        self.answer = asyncio.get_running_loop().create_future()
        query = urlencode(authorization_request(client_id))
        await self.page.goto(f"{self.server.issuer}/authorize?{query}")

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.server.issuer}/{path}")

    async def sign_in(self, email: str = JOHN) -> None:
        await self.page.get_by_label("Email address").fill(email)
        await self.press("Send one-time password")
        await expect(self.page.get_by_label("One-time password")).to_be_focused()
        await self.page.get_by_label("One-time password").fill((await self.server.mails(email))[0]["code"])
        await self.press("Continue")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).click()

    async def allow(self, client_id: str) -> str:
        """Let a client in, and return its token."""
        await self.authorize(client_id)
        await self.press("Allow")
        response = await self.server.redeem(client_id, (await self.answered())["code"])
        return str(response.json()["access_token"])

    async def answered(self) -> dict[str, str]:
        """Return what the client was told, once the browser has arrived there."""
        answer = await asyncio.wait_for(self.answer, 10)
        await expect(self.page).to_have_title("Back at the application")
        return answer

    async def reads(self, text: str) -> None:
        await expect(self.page.locator("body")).to_contain_text(text)

    async def looks(self, name: str, title: str) -> None:
        """Keep what the page of this title looks like, and check that nothing sticks out of it."""
        await expect(self.page).to_have_title(title)
        await self.page.wait_for_load_state()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        wider: bool = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        assert not wider, f"{name} is wider than the window"
