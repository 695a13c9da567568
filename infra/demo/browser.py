"""A user's browser without a screen: follows redirects, keeps cookies, submits real forms (RFC 6749 §4.1).

It works on any authorization server whose pages ask for an email address, a one-time password and consent.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

import httpx2

from demo.html_forms import Control, Form, forms_of, text_of

MAX_REDIRECTS: Final = 10
MAX_PAGES: Final = 10
EMAIL_NAMES: Final = frozenset({"email", "username", "login", "subject"})
PASSWORD_NAMES: Final = frozenset({"otp", "code", "password", "passcode", "pin"})
APPROVE: Final = ("approve", "allow", "accept", "grant", "yes")
CANCEL: Final = ("cancel", "deny", "decline", "refuse", "reject")

Decision = Literal["approve", "cancel"]
ReadPassword = Callable[[str], Awaitable[str]]
"""Returns the newest one-time password sent to an address."""


class BrowserError(Exception):
    """The pages went another way than a user could go on."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page the user sees."""

    url: str
    status: int
    html: str

    @property
    def forms(self) -> list[Form]:
        """The forms on the page."""
        return forms_of(self.html)

    @property
    def text(self) -> str:
        """What the user reads."""
        return text_of(self.html)

    def form_with(self, *, kind: str = "", autocomplete: str = "", names: frozenset[str]) -> Form | None:
        """Return the first form with a field like this."""
        for form in self.forms:
            if form.field_for(kind=kind, autocomplete=autocomplete, names=names) is not None:
                return form
        return None


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """What the browser brings back to the client: the redirect URI's query (RFC 6749 §4.1.2, RFC 9207 §2)."""

    url: str = field(repr=False)
    code: str | None = field(repr=False)
    state: str | None
    iss: str | None
    error: str | None
    error_description: str | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read the parameters of a redirect.

        Raises:
            BrowserError: one of them occurs twice.
        """
        query = parse_qs(urlsplit(url).query, keep_blank_values=True)
        if any(len(values) > 1 for values in query.values()):
            raise BrowserError("the redirect to the client repeats a parameter")

        def one(name: str) -> str | None:
            return query[name][0] if name in query else None

        return cls(url, one("code"), one("state"), one("iss"), one("error"), one("error_description"))


class Browser:
    """One browser with its cookies. It never connects to `redirect_uri`: arriving there is its result."""

    def __init__(self, redirect_uri: str, *, client: httpx2.AsyncClient | None = None) -> None:
        self._redirect_uri = redirect_uri
        self._client = client or httpx2.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=httpx2.Timeout(10.0)
        )
        self._client.headers["accept"] = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def open(self, url: str) -> Page | AuthorizationResponse:
        """Go to an address, and follow redirects to a page or back to the client."""
        return await self._follow(await self._client.get(url))

    async def submit(
        self, page: Page, form: Form, values: Mapping[str, str], *, press: Control | None = None
    ) -> Page | AuthorizationResponse:
        """Fill in a form, leave the other fields as they are, press a button, and follow.

        Raises:
            BrowserError: the form has no field of one of the names.
        """
        for name in values:
            if not form.has(name):
                raise BrowserError(f"the form has no field {name!r}")
        data = {control.name: values.get(control.name, control.value) for control in form.fields}
        if press is not None and press.name:
            data[press.name] = press.value
        action = urljoin(page.url, form.action)
        if form.method == "get":
            return await self.open(str(httpx2.URL(action).copy_merge_params(data)))
        parts = urlsplit(page.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        return await self._follow(
            await self._client.post(action, data=data, headers={"origin": origin, "referer": page.url})
        )

    async def _follow(self, response: httpx2.Response) -> Page | AuthorizationResponse:
        for _ in range(MAX_REDIRECTS):
            location = response.headers.get("location")
            if not response.is_redirect or location is None:
                return Page(str(response.url), response.status_code, response.text)
            target = urljoin(str(response.url), location)
            if self._is_the_client(target):
                return AuthorizationResponse.of(target)
            response = await self._client.get(target)
        raise BrowserError("too many redirects")

    def _is_the_client(self, url: str) -> bool:
        ours, theirs = urlsplit(self._redirect_uri), urlsplit(urldefrag(url).url)
        return (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)


class Visitor:
    """A user at the browser: knows their address, reads their mail, and decides."""

    def __init__(self, email: str, read_password: ReadPassword, *, decision: Decision = "approve") -> None:
        self._email = email
        self._read_password = read_password
        self._decision: Decision = decision
        self.consent_text: str | None = None

    async def go(self, browser: Browser, authorization_url: str) -> AuthorizationResponse:
        """Walk from the authorization request to the client's redirect URI.

        Raises:
            BrowserError: a page was an error, or nothing the user knows how to answer.
        """
        at = await browser.open(authorization_url)
        for _ in range(MAX_PAGES):
            if isinstance(at, AuthorizationResponse):
                return at
            if at.status >= 400:
                raise BrowserError(f"HTTP {at.status}: {at.text[:300]}")
            at = await self._answer(browser, at)
        raise BrowserError("too many pages")

    async def arrive(self, browser: Browser, url: str, *, at: str) -> Page:
        """Walk through login and consent to a page of the server `at`, which sends users to sign in first.

        Raises:
            BrowserError: a page on the way was an error, or nothing the user knows how to answer.
        """
        page = await browser.open(url)
        for _ in range(MAX_PAGES):
            if isinstance(page, AuthorizationResponse):
                raise BrowserError("the way led to another client")
            if page.url.startswith(f"{at}/"):
                return page
            if page.status >= 400:
                raise BrowserError(f"HTTP {page.status}: {page.text[:300]}")
            page = await self._answer(browser, page)
        raise BrowserError("too many pages")

    async def _answer(self, browser: Browser, page: Page) -> Page | AuthorizationResponse:
        for form in page.forms:
            field = form.field_for(autocomplete="one-time-code", names=PASSWORD_NAMES)
            if field is not None:
                password = await self._read_password(self._email)
                return await browser.submit(page, form, {field.name: password})
            field = form.field_for(kind="email", names=EMAIL_NAMES)
            if field is not None:
                return await browser.submit(page, form, {field.name: self._email})
        wanted = APPROVE if self._decision == "approve" else CANCEL
        for form in page.forms:
            button = form.button(*wanted)
            if button is not None:
                self.consent_text = page.text
                return await browser.submit(page, form, {}, press=button)
        raise BrowserError(f"nothing to answer on this page: {page.text[:300]}")
