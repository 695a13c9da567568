import pytest
from hypothesis import given
from hypothesis import strategies as st

from authcore.errors import InvalidRedirectUri
from authserver.redirect_uris import check_redirect_uri, matches
from tests.authserver.server import CALLBACK, AuthServer


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
