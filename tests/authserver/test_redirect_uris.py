from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from authcore.errors import InvalidRedirectUri
from authserver.redirect_uris import check_redirect_uri, matches
from tests.authserver.server import CALLBACK, ISSUER, AuthServer, serving, settings
from tests.support.issuer import ec_key


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/cb",
        "https://client.example:8443/cb?tenant=1",
        "http://127.0.0.1/cb",
        "http://127.0.0.1:49152/cb",
        "http://localhost:3000/oauth/callback",
        "http://[::1]:3000/cb",
        "https://client.example",
    ],
)
def test_https_and_loopback_may_be_registered(uri: str) -> None:
    check_redirect_uri(uri, native=False)


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "https://client.example@evil.example/cb",
        "https://user:password@client.example/cb",
        "https://client.example/cb#fragment",
        "https://client.example/cb#",
        "https://*.client.example/cb",
        "https://client.example/*",
        "https://client.example/../cb",
        "https://client.example/a/%2e%2e/cb",
        "https://client.example/a/..%2fcb",
        "https://client.example\\@evil.example/cb",
        "https:///cb",
        "https:client.example/cb",
        "https:/client.example/cb",
        "//client.example/cb",
        "/cb",
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "cursor://oauth/callback",
        "com.example.app:/cb",
        "https://client.example/cb\nx",
        "https://client.example/ä",
        "https://client.example:0/cb",
        "https://client.example:/cb",
        "https://client.example:99999/cb",
        "https://[::1/cb",
        "http://0.0.0.0/cb",
        "https://client.example/" + "x" * 2000,
    ],
)
@pytest.mark.attack(
    "RFC 9700 §2.1",
    "register a redirect URI with a fragment, userinfo, wildcard, dot segment or foreign scheme",
)
def test_everything_else_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRedirectUri):
        check_redirect_uri(uri, native=False)


@pytest.mark.attack("RFC 8252 §7.1", "claim a short private-use scheme that another application could own")
def test_a_native_client_may_have_a_private_use_scheme_in_reverse_domain_notation() -> None:
    check_redirect_uri("com.example.app:/oauth", native=True)
    for uri in ("myapp:/oauth", "javascript:alert(1)", "vscode://x/y"):
        with pytest.raises(InvalidRedirectUri):
            check_redirect_uri(uri, native=True)


def test_policy_can_name_schemes_that_every_client_may_have() -> None:
    schemes = frozenset({"cursor"})
    check_redirect_uri("cursor://anysphere.cursor-retrieval/oauth/callback", native=False, schemes=schemes)
    for uri in ("cursors://x/y", "vscode://x/y", "cursor://user@x/y", "cursor://x/../y", "cursor://x/y#z"):
        with pytest.raises(InvalidRedirectUri):
            check_redirect_uri(uri, native=True, schemes=schemes)


@pytest.mark.parametrize(
    "scheme", ["javascript", "data", "http", "file", "Cursor", "cursor:", "cursor://", ""]
)
@pytest.mark.attack("RFC 9700 §4.1", "have a scheme allowed that runs or opens something else than a client")
def test_a_scheme_that_is_no_applications_own_cannot_be_allowed(tmp_path: Path, scheme: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path / "state", ec_key(), private_use_schemes=[scheme])


async def test_a_desktop_client_with_a_short_scheme_is_let_in_where_it_is_allowed(tmp_path: Path) -> None:
    callback = "cursor://anysphere.cursor-retrieval/oauth/callback"
    for directory in ("1", "2"):
        (tmp_path / directory).mkdir()
    async with serving(tmp_path / "1", private_use_schemes=["cursor"]) as server:
        client = await server.register(redirect_uris=[callback])
        browser = server.browser()
        page = await server.authorize(browser, client["client_id"], redirect_uri=callback)
        page = await server.log_in(browser, page)
        assert "<dd>cursor:</dd>" in page.text
        page = await browser.submit(page, decision="allow")
        assert page.response.headers["location"].startswith(f"{callback}?code=")
    async with serving(tmp_path / "2") as server:
        answer = await server.http.post(f"{ISSUER}/register", json={"redirect_uris": [callback]})
        assert answer.json()["error"] == "invalid_redirect_uri"
        assert "AUTHSERVER_PRIVATE_USE_SCHEMES" in answer.json()["error_description"]


@pytest.mark.attack(
    "RFC 8252 §8.6", "pass for a web site with a private-use scheme that looks like its address"
)
async def test_what_looks_like_a_host_in_a_private_use_scheme_is_not_shown_as_one(
    server: AuthServer,
) -> None:
    callback = "com.evil.app://bank.example/callback"
    client = await server.register(redirect_uris=[callback], application_type="native")
    browser = server.browser()
    page = await server.authorize(browser, client["client_id"], redirect_uri=callback)
    page = await server.log_in(browser, page)
    assert "bank.example" not in page.text
    assert "<dd>com.evil.app:</dd>" in page.text
    assert "runs on your own computer" in page.text


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("https://client.example/cb", "https://client.example/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"),
        ("http://[::1]:1/cb?x=1", "http://[::1]:2/cb?x=1"),
        ("http://localhost/cb", "http://localhost:3000/cb"),
    ],
)
def test_the_same_uri_matches_and_a_loopback_port_may_vary(registered: str, presented: str) -> None:
    assert matches(registered, presented)


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("https://client.example/cb", "https://client.example/cb/"),
        ("https://client.example/cb", "https://client.example/cb?x=1"),
        ("https://client.example/cb", "https://CLIENT.example/cb"),
        ("https://client.example/cb", "https://client.example:8443/cb"),
        ("https://client.example/cb", "https://client.example.evil.example/cb"),
        ("https://client.example/cb", "https://client.example/cb/../evil"),
        ("https://client.example/cb", "http://client.example/cb"),
        ("https://client.example/cb", "https://client.example/cb#x"),
        ("http://127.0.0.1:1/cb", "http://localhost:1/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1@evil.example/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:99999/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:0/cb"),
        ("http://127.0.0.1:1/cb", "https://127.0.0.1:1/cb"),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1/cb/evil"),
        ("http://127.0.0.1/", "http://127.0.0.1.evil.example/"),
        ("com.example.app:/cb", "com.example.app:/other"),
    ],
)
@pytest.mark.attack("RFC 9700 §4.1.3", "ask for a redirect URI that resembles the registered one")
@pytest.mark.requirement("as-redirect-uris")
def test_anything_else_does_not_match(registered: str, presented: str) -> None:
    assert not matches(registered, presented)


@given(st.text(max_size=40))
@pytest.mark.attack("RFC 8252 §7.3", "leave loopback through the port that may vary")
def test_whatever_matches_a_loopback_uri_stays_on_loopback(tail: str) -> None:
    for presented in (f"http://127.0.0.1{tail}", f"http://127.0.0.1:{tail}", tail):
        if matches("http://127.0.0.1:1/cb", presented):
            assert presented.startswith(("http://127.0.0.1/cb", "http://127.0.0.1:"))
            assert presented.endswith("/cb")
            assert "@" not in presented


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/callback",
        "http://127.0.0.1:3000/callback#x",
        "http://127.0.0.1:3000@evil.example/callback",
        "http://127.0.0.1:3000/callback/../x",
        "http://127.0.0.1.evil.example:3000/callback",
        "https://127.0.0.1:3000/callback",
    ],
)
@pytest.mark.attack("RFC 9700 §4.11.2", "use the authorization endpoint as an open redirector")
async def test_a_redirect_uri_that_is_not_registered_gets_a_page_and_no_redirect(
    server: AuthServer, redirect_uri: str
) -> None:
    client = await server.register(redirect_uris=[CALLBACK])
    page = await server.authorize(server.browser(), client["client_id"], redirect_uri=redirect_uri)
    assert page.response.status_code == 400
    assert "Wrong redirect address" in page.text
    assert "location" not in page.response.headers


@pytest.mark.requirement("as-redirect-uris")
async def test_a_native_client_may_listen_on_any_port(server: AuthServer) -> None:
    client = await server.register(redirect_uris=["http://127.0.0.1/callback"])
    browser = server.browser()
    page = await server.authorize(
        browser, client["client_id"], redirect_uri="http://127.0.0.1:51234/callback"
    )
    page = await browser.submit(await server.log_in(browser, page), decision="cancel")
    assert page.response.headers["location"].startswith("http://127.0.0.1:51234/callback?error=access_denied")
