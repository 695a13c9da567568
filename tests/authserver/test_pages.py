import re
from itertools import product

import pytest

from tests.authserver.browser import Browser, Page
from tests.authserver.server import ISSUER, JOHN, AuthServer

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def all_pages(server: AuthServer, **metadata: object) -> dict[str, Page]:
    client = await server.register(**metadata)
    browser = server.browser()
    pages = {"email": await server.authorize(browser, client["client_id"])}
    pages["code"] = await browser.submit(pages["email"], email=JOHN)
    pages["consent"] = await browser.submit(pages["code"], code=(await server.mails(JOHN))[0]["code"])
    pages["inbox"] = await browser.open("/inbox")
    pages["agents"] = await browser.open(f"{ISSUER}/agents")
    pages["admin"] = await browser.open(f"{ISSUER}/admin")
    pages["error"] = await server.browser().open(f"{ISSUER}/authorize")
    return pages


@pytest.mark.attack("RFC 9700 §4.16", "frame the consent page (clickjacking)")
async def test_every_page_is_protected_and_says_what_it_is(server: AuthServer) -> None:
    for name, page in (await all_pages(server)).items():
        headers = page.response.headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        # Chromium holds every redirect after a form against form-action, the client's own included.
        assert ("form-action 'self'" in policy) == (name not in ("code", "consent"))
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "Development authorization server" in page.text
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", page.text)
        assert ("<script" in page.text) == ("script-src 'self'" in policy) == (name == "inbox")
        assert '<html lang="en">' in page.text
        assert "<main" in page.text


async def test_every_input_has_a_label(server: AuthServer) -> None:
    for page in (await all_pages(server)).values():
        for field in re.findall(r"<input id=\"([^\"]+)\"", page.text):
            assert f'<label for="{field}">' in page.text


@pytest.mark.attack("RFC 7591 §5", "put HTML into client_name")
async def test_a_clients_name_is_shown_as_text_everywhere(server: AuthServer) -> None:
    pages = await all_pages(server, client_name=XSS)
    for name in ("email", "code", "consent", "inbox"):
        text = pages[name].text
        assert "&lt;script&gt;" in text
        assert "<script>" not in text
        assert "<img" not in text


@pytest.mark.attack("RFC 6749 §10.14", "have a script turn a mail into HTML")
async def test_the_one_script_makes_no_html_of_what_it_is_told(server: AuthServer) -> None:
    page = await server.browser().open("/inbox")
    link = re.search(r'<script src="([^"]+)" defer></script>', page.text)
    assert link is not None
    response = await server.http.get(link[1])
    assert response.headers["content-type"].startswith("text/javascript")
    assert not re.search("innerHTML|insertAdjacent|document.write|eval", response.text)
    assert "require-trusted-types-for 'script'" in page.response.headers["content-security-policy"]


@pytest.mark.attack("RFC 6749 §10.14", "put HTML into a form field")
async def test_what_the_user_typed_is_shown_as_text(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    page = await browser.submit(await server.authorize(browser, client["client_id"]), email=f'"><b>{XSS}')
    assert "<b>" not in page.text
    assert "<script" not in page.text


async def test_the_stylesheet_is_served_and_knows_the_dark(server: AuthServer) -> None:
    page = await server.browser().open("/inbox")
    link = re.search(r'<link rel="stylesheet" href="([^"]+)"', page.text)
    assert link is not None
    response = await server.http.get(link[1])
    assert response.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in response.text


async def logged_in(server: AuthServer) -> tuple[Browser, Page]:
    client = await server.register()
    browser = server.browser()
    return browser, await server.log_in(browser, await server.authorize(browser, client["client_id"]))


@pytest.mark.attack("RFC 6749 §10.12", "submit a form from another site (CSRF)")
async def test_a_form_without_its_token_is_refused(server: AuthServer) -> None:
    browser, page = await logged_in(server)
    forms = (("login", "email"), ("login/code", "code"), ("consent", "decision"))
    for (path, field), csrf in product(forms, ("", "x", "x" * 43, "ä")):
        form = {"request": page.fields["request"], "csrf": csrf, field: "allow"}
        response = await browser.http.post(f"{ISSUER}/{path}", data=form)
        assert response.status_code == 403
        assert "location" not in response.headers
    assert (await browser.submit(page, decision="allow")).callback["code"]


@pytest.mark.attack("RFC 6819 §5.3.5", "bring the attacker's own CSRF token")
async def test_a_token_of_another_browser_or_request_is_refused(server: AuthServer) -> None:
    browser, page = await logged_in(server)
    attacker, theirs = await logged_in(server)
    foreign = {"request": page.fields["request"], "csrf": theirs.fields["csrf"], "decision": "allow"}
    assert (await browser.http.post(f"{ISSUER}/consent", data=foreign)).status_code == 403
    assert (await attacker.http.post(f"{ISSUER}/consent", data=page.fields)).status_code == 400
    own = await server.authorize(browser, (await server.register())["client_id"])
    mixed = {"request": page.fields["request"], "csrf": own.fields["csrf"], "decision": "allow"}
    assert (await browser.http.post(f"{ISSUER}/consent", data=mixed)).status_code == 403


async def test_a_form_that_is_malformed_gets_a_page(server: AuthServer) -> None:
    browser, page = await logged_in(server)
    for body in (b"csrf=a&csrf=b", b"%ff=1", b"a=1&" * 100):
        response = await browser.http.post(
            f"{ISSUER}/consent", content=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert response.status_code in (400, 403)
        assert response.headers["content-type"].startswith("text/html")
    doubled = page.fields | {"decision": ["allow", "cancel"]}
    assert (await browser.http.post(f"{ISSUER}/consent", data=doubled)).status_code == 400
    assert (await browser.http.post(f"{ISSUER}/consent", json={})).status_code == 400
