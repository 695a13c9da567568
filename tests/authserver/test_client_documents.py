import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from authserver.client_documents import fresh_for, is_document_url
from authserver.public_fetch import is_public, system_resolver
from tests.authserver.browser import Page
from tests.authserver.server import AuthServer, Json, public_jwks, serving
from tests.support.issuer import ec_key

URL = "https://agent.example/client.json"
PUBLIC = "93.184.215.14"

Answer = Callable[[httpx.Request], httpx.Response]


def document(**changes: Any) -> Json:
    members = {
        "client_id": URL,
        "client_name": "Document agent",
        "redirect_uris": ["http://127.0.0.1/callback", "https://agent.example/cb"],
        "token_endpoint_auth_method": "none",
    } | changes
    return {name: value for name, value in members.items() if value is not None}


class Net:
    """DNS and the network behind it."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses) or [PUBLIC]
        self.requests: list[httpx.Request] = []
        self.answer: Answer = lambda _: httpx.Response(200, json=document())

    async def resolve(self, *_: object) -> list[str]:
        return self.addresses

    def respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    @asynccontextmanager
    async def serving(self, directory: Path, **changes: Any) -> AsyncGenerator[AuthServer]:
        transport = httpx.MockTransport(self.respond)
        async with serving(directory, transport=transport, resolver=self.resolve, **changes) as server:
            yield server


async def opened(server: AuthServer, client_id: str = URL) -> Page:
    return await server.authorize(server.browser(), client_id)


def assert_refused(page: Page, status: int = 400) -> None:
    assert page.response.status_code == status, page.text
    assert "location" not in page.response.headers
    assert "metadata document" in page.text


@pytest.mark.requirement("as-client-metadata")
async def test_a_client_known_by_its_document_needs_no_registration(tmp_path: Path) -> None:
    net = Net()
    async with net.serving(tmp_path) as server:
        browser = server.browser()
        page = await server.authorize(browser, URL)
        assert "Document agent" in page.text
        page = await server.log_in(browser, page)
        assert "agent.example" in page.text
        assert "127.0.0.1:3000" in page.text
        page = await browser.submit(page, decision="allow")
        token = (await server.redeem(URL, page.callback["code"])).json()["access_token"]
        claims = (await server.introspect(token)).json()
    assert claims["client_id"] == URL
    assert claims["client_assurance_level"] == 1
    assert len(net.requests) == 1


@pytest.mark.attack("CIMD, Security Considerations", "change the DNS answer between check and connection")
async def test_the_connection_goes_to_the_checked_address_under_the_clients_name(tmp_path: Path) -> None:
    net = Net("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    async with net.serving(tmp_path) as server:
        await opened(server)
    (request,) = net.requests
    assert request.url.host == net.addresses[0]
    assert request.headers["host"] == "agent.example"
    assert request.extensions["sni_hostname"] == "agent.example"
    assert "cookie" not in request.headers


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  an address to be refused
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "64:ff9b:1::7f00:1",
        "::ffff:0:7f00:1",
        "fec0::1",
        "5f00::1",
        "3fff::1",
        "192.0.0.8",
        "192.88.99.1",
    ],
)
@pytest.mark.attack(
    "CIMD, Security Considerations",
    "reach private, link-local, mapped or translated addresses through DNS (SSRF)",
)
async def test_an_address_that_is_not_public_is_not_connected_to(tmp_path: Path, address: str) -> None:
    assert not is_public(address)
    if address in ("127.0.0.1", "::ffff:10.0.0.1"):
        for addresses in ((address,), (PUBLIC, address)):
            net = Net(*addresses)
            async with net.serving(tmp_path) as server:
                assert_refused(await opened(server))
            assert net.requests == []


def test_public_addresses_are_public() -> None:
    assert is_public(PUBLIC)
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    assert is_public("::ffff:93.184.215.14")


@pytest.mark.attack("CIMD, Security Considerations", "reach further than the allowance for loopback")
async def test_loopback_needs_an_explicit_allowance_that_opens_nothing_else(tmp_path: Path) -> None:
    for address, allowed in (("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("fe80::1", False)):
        net = Net(address)
        async with net.serving(tmp_path, cimd_allow_loopback=True) as server:
            assert ((await opened(server)).response.status_code == 200) is allowed


@pytest.mark.attack("CIMD, Security Considerations", "write such an address into the URL, in any notation")
async def test_an_address_written_into_the_url_is_checked_as_well(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"connected to {request.url}")

    transport = httpx.MockTransport(respond)
    async with serving(tmp_path, transport=transport, resolver=system_resolver) as server:
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0x7f.1", "2130706433"):
            assert_refused(await opened(server, f"https://{host}/client.json"))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"location": "http://127.0.0.1/"}, json=document()),
        httpx.Response(404, json=document()),
        httpx.Response(200, text=json.dumps(document()), headers={"content-type": "text/html"}),
        httpx.Response(200, json=document(client_id="https://agent.example/other.json")),
        httpx.Response(200, json=document(client_id=URL + "/")),
        httpx.Response(200, json=document(client_id=None)),
        httpx.Response(200, json=document(redirect_uris=None)),
        httpx.Response(200, json=document(redirect_uris=["http://evil.example/cb"])),
        httpx.Response(200, json=document(client_secret="x")),
        httpx.Response(200, json=document(token_endpoint_auth_method="client_secret_post")),
        httpx.Response(200, json=document(token_endpoint_auth_method="private_key_jwt")),
        httpx.Response(200, json=document(padding="x" * 17_000)),
        httpx.Response(200, json=[document()]),
        httpx.Response(200, content=b"{", headers={"content-type": "application/json"}),
        httpx.Response(200, content=b"[" * 15_000, headers={"content-type": "application/json"}),
        httpx.Response(
            200, content=b"x", headers={"content-type": "application/json", "content-encoding": "br"}
        ),
    ],
)
@pytest.mark.attack(
    "CIMD, Security Considerations",
    "redirect, oversize, nest or mislabel the document, or put a secret into it",
)
async def test_an_unacceptable_document_is_refused(tmp_path: Path, answer: httpx.Response) -> None:
    net = Net()
    net.answer = lambda _: answer
    async with net.serving(tmp_path) as server:
        assert_refused(await opened(server))
        assert_refused(await opened(server))
        assert len(net.requests) == 1
        net.answer = lambda _: httpx.Response(200, json=document())
        server.clock.seconds += 10
        assert "Document agent" in (await opened(server)).text


async def test_a_host_that_does_not_answer_is_trouble_of_the_moment(tmp_path: Path) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too slow", request=request)

    net = Net()
    net.answer = fail
    async with net.serving(tmp_path) as server:
        assert_refused(await opened(server), 503)
        response = await server.redeem(URL, "code")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        net.answer = lambda _: httpx.Response(200, json=document())
        assert "Document agent" in (await opened(server)).text


async def test_a_name_that_does_not_resolve_is_trouble_of_the_moment(tmp_path: Path) -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    async with serving(tmp_path, resolver=nowhere) as server:
        assert_refused(await opened(server), 503)


@pytest.mark.attack("CIMD, Security Considerations", "use a redirect URI that the document does not have")
async def test_redirect_uris_are_those_of_the_document(tmp_path: Path) -> None:
    net = Net()
    async with net.serving(tmp_path) as server:
        for uri, status in (("https://agent.example/cb", 200), ("https://agent.example/other", 400)):
            page = await server.authorize(server.browser(), URL, redirect_uri=uri)
            assert page.response.status_code == status


@pytest.mark.requirement("as-registration")
async def test_policy_is_the_one_of_registered_clients(tmp_path: Path) -> None:
    key = ec_key("agent")
    net = Net()
    net.answer = lambda _: httpx.Response(
        200,
        json=document(
            client_name=None,
            token_endpoint_auth_method="private_key_jwt",
            jwks=public_jwks(key),
            grant_types=["authorization_code", "refresh_token"],
            scope="admin",
            client_type="human",
        ),
    )
    async with net.serving(tmp_path) as server:
        assert "agent.example</strong> is requesting access" in (await opened(server)).text
        code = await server.code(URL)
        assert (await server.redeem(URL, code)).json()["error"] == "invalid_client"
        response = await server.redeem(URL, code, **server.assertion(client_id=URL, key=key))
        claims = (await server.introspect(response.json()["access_token"])).json()
    assert "refresh_token" not in response.json()
    assert claims["scope"] == "stocks/read"
    assert claims["client_type"] == "mcp"
    assert claims["client_assurance_level"] == 2


@pytest.mark.requirement("as-client-metadata")
async def test_a_document_is_kept_as_long_as_its_headers_say(tmp_path: Path) -> None:
    net = Net()
    net.answer = lambda _: httpx.Response(200, json=document(), headers={"cache-control": "max-age=60"})
    async with net.serving(tmp_path) as server:
        for seconds, fetches in ((0, 1), (59, 1), (1, 2)):
            server.clock.seconds += seconds
            before = len(net.requests)
            page = await server.authorize(server.browser(), URL, redirect_uri="https://evil.example/")
            assert page.response.status_code == 400
            assert len(net.requests) == max(fetches, before)
        assert len(net.requests) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "public, Max-Age=60"}, 60),
        ({"cache-control": "max-age=60", "age": "20"}, 40),
        ({"cache-control": "max-age=60", "age": "90"}, 0),
        ({"cache-control": "no-store, max-age=60"}, 0),
        ({"cache-control": "no-cache"}, 0),
        ({"cache-control": "max-age=99999999"}, 86400),
        ({"expires": "Fri, 01 Jan 2027 00:01:00 GMT", "date": "Fri, 01 Jan 2027 00:00:00 GMT"}, 60),
        ({"expires": "0", "date": "Fri, 01 Jan 2027 00:00:00 GMT"}, 0),
        ({"expires": "Fri, 01 Jan 2027 00:01:00 GMT"}, 0),
    ],
)
def test_cache_headers_are_understood(headers: dict[str, str], seconds: int) -> None:
    assert fresh_for(httpx.Headers(headers)) == seconds


@pytest.mark.parametrize(
    "client_id",
    [
        "http://agent.example/client.json",
        "https://agent.example",
        "https://agent.example/",
        "https://user@agent.example/client.json",
        "https://agent.example/a/../client.json",
        "https://agent.example/a/%2e%2e/client.json",
        "https://agent.example/client.json#x",
        "https://agent.example:0/client.json",
        "https://agent.example:99999/client.json",
        "https:///client.json",
        "https://agent.example/client json",
        "https://agent.example\\@evil.example/x",
        "https://agent.example/" + "x" * 1000,
    ],
)
@pytest.mark.attack("CIMD, Security Considerations", "name a document URL that parsers read differently")
def test_what_is_no_proper_document_url_is_never_fetched(client_id: str) -> None:
    assert not is_document_url(client_id)
