from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from demo.browser import AuthorizationResponse, Browser, BrowserError, Page, Visitor

REDIRECT_URI = "http://127.0.0.1:33418/callback"
START = "http://as.test/p/authorize?client_id=1"
EMAIL = "john.doe@demo.example"

Pages = Callable[[httpx2.Request], httpx2.Response]


def html(body: str, status: int = 200, headers: dict[str, str] | None = None) -> httpx2.Response:
    return httpx2.Response(status, html=body, headers=headers)


def to(location: str) -> httpx2.Response:
    return httpx2.Response(303, headers={"location": location})


class AuthorizationServer:
    """Three pages, each of which insists on what the one before it gave to the browser."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return self._get(request)
        assert request.headers["origin"] == "http://as.test"
        form = dict(httpx2.QueryParams(request.content.decode()))
        self.submitted.append(form)
        if "email" in form:
            return to("/p/code")
        if "code" in form:
            return to("consent?x=1")
        if form["decision"] == "approve":
            return to(f"{REDIRECT_URI}?code=c&state=s&iss=http%3A%2F%2Fas.test%2Fp")
        return to(f"{REDIRECT_URI}?error=access_denied&state=s&iss=http%3A%2F%2Fas.test%2Fp")

    def _get(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/p/authorize":
            page = "<form method=post action=login><input type=email name=email><button>Go</button></form>"
            return html(page, headers={"set-cookie": "sid=1; Path=/p"})
        assert request.headers["cookie"] == "sid=1"
        if request.url.path == "/p/code":
            return html("<form method=post action=check><input name=code><button>Go</button></form>")
        return html(
            "<p>Demo agent wants stocks</p><form method=post>"
            "<input type=hidden name=csrf value=t>"
            "<button name=decision value=cancel>Cancel</button>"
            "<button name=decision value=approve>Allow</button></form>"
        )


@pytest.fixture
def server() -> AuthorizationServer:
    return AuthorizationServer()


@pytest.fixture
async def browser(server: AuthorizationServer) -> AsyncIterator[Browser]:
    async with browser_at(server) as opened:
        yield opened


def browser_at(pages: Pages) -> Browser:
    return Browser(REDIRECT_URI, client=httpx2.AsyncClient(transport=httpx2.MockTransport(pages)))


async def password(_: str) -> str:
    return "123456"


async def test_a_user_who_consents_brings_back_code_state_and_issuer(
    browser: Browser, server: AuthorizationServer
) -> None:
    visitor = Visitor(EMAIL, password)
    response = await visitor.go(browser, START)
    assert (response.code, response.state, response.iss, response.error) == (
        "c",
        "s",
        "http://as.test/p",
        None,
    )
    assert server.submitted == [{"email": EMAIL}, {"code": "123456"}, {"csrf": "t", "decision": "approve"}]
    assert visitor.consent_text is not None
    assert "Demo agent wants stocks" in visitor.consent_text


async def test_a_user_who_cancels_brings_back_an_error_and_no_code(browser: Browser) -> None:
    response = await Visitor(EMAIL, password, decision="cancel").go(browser, START)
    assert response.error == "access_denied"
    assert response.code is None


async def test_an_error_page_ends_the_visit_with_its_text() -> None:
    async with browser_at(lambda _: html("<h1>Unknown client</h1>", 400)) as browser:
        with pytest.raises(BrowserError, match="HTTP 400: Unknown client"):
            await Visitor(EMAIL, password).go(browser, START)


async def test_a_page_without_anything_to_answer_ends_the_visit() -> None:
    async with browser_at(lambda _: html("<p>Good day</p>")) as browser:
        with pytest.raises(BrowserError, match="Good day"):
            await Visitor(EMAIL, password).go(browser, START)


async def test_redirects_in_a_circle_end() -> None:
    async with browser_at(lambda request: to(str(request.url))) as browser:
        with pytest.raises(BrowserError, match="too many redirects"):
            await browser.open(START)


async def test_a_field_the_form_does_not_have_cannot_be_filled_in(browser: Browser) -> None:
    page = await browser.open(START)
    assert isinstance(page, Page)
    with pytest.raises(BrowserError, match="no field 'otp'"):
        await browser.submit(page, page.forms[0], {"otp": "1"})


async def test_a_form_with_method_get_puts_its_fields_into_the_address() -> None:
    seen: list[str] = []

    def pages(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return html("<form action=/find><input name=q value=1></form>")

    async with browser_at(pages) as browser:
        page = await browser.open("http://as.test/")
        assert isinstance(page, Page)
        await browser.submit(page, page.forms[0], {"q": "a b"})
    assert seen[-1] in ("http://as.test/find?q=a+b", "http://as.test/find?q=a%20b")


def test_a_redirect_that_repeats_a_parameter_is_refused() -> None:
    with pytest.raises(BrowserError, match="repeats"):
        AuthorizationResponse.of(f"{REDIRECT_URI}?code=1&code=2")
