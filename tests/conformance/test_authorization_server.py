"""The authorization server, asked by clients that others wrote."""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from tests.authserver.browser import Browser, Page
from tests.authserver.server import API, BROKER, CALLBACK, MCP, AuthServer
from tests.authserver.socket import listening
from tests.conformance.node import node
from tests.conformance.suite import HERE
from tests.support.issuer import Clock
from tests.support.redis_server import free_port

SECONDS = 60.0

pytestmark = pytest.mark.usefixtures("packages")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    async with listening(tmp_path, clock=Clock(int(time.time()))) as running:
        yield running


async def run(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start Node in this directory, with pipes to talk to it."""
    return await asyncio.create_subprocess_exec(
        str(node()),
        *arguments,
        cwd=HERE,
        env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def sent_back(server: AuthServer, browser: Browser, url: str) -> str:
    """Where a user who signs in if asked, and agrees, is sent in the end."""
    page = await browser.open(url)
    if "/login" in page.url:
        page = await server.log_in(browser, page)
    if page.response.status_code != 303:
        page = await browser.submit(page, decision="allow")
    return location(page)


def location(page: Page) -> str:
    assert page.response.status_code == 303, page.text
    return str(page.response.headers["location"])


async def test_oauth4webapi_finds_every_answer_as_its_rfc_wants_it(server: AuthServer) -> None:
    told = {
        "issuer": server.issuer,
        "redirectUri": CALLBACK,
        "resource": MCP,
        "audience": API,
        "broker": {"clientId": BROKER, "jwk": server.broker_key.as_dict(private=True)},
    }
    async with asyncio.timeout(SECONDS):
        client = await run("client.mjs", CONFORMANCE=json.dumps(told))
        assert client.stdin is not None
        assert client.stdout is not None
        heard: list[str] = []
        browser = server.browser()
        async for line in client.stdout:
            heard.append(line.decode().rstrip())
            if heard[-1].startswith("open "):
                url = await sent_back(server, browser, heard[-1].removeprefix("open "))
                client.stdin.write(f"{url}\n".encode())
        assert await client.wait() == 0, "\n".join(heard)
    assert {line for line in heard if line.startswith("ok ")} >= {
        "ok discovery oauth2",
        "ok discovery oidc",
        "ok registration",
        "ok code flow with iss",
        "ok introspection in JSON and RFC 9701",
        "ok exchange for a token of RFC 9068",
    }
    metadata = (await server.http.get(f"{server.issuer}/.well-known/oauth-authorization-server")).json()
    for member, feature in (
        ("pushed_authorization_request_endpoint", "PAR"),
        ("revocation_endpoint", "revocation"),
        ("dpop_signing_alg_values_supported", "DPoP"),
    ):
        assert (f"ok {feature}" in heard) == (member in metadata), heard


async def suite(server: AuthServer, client_id: str, port: int, results: Path) -> list[dict[str, str]]:
    """The checks of all scenarios of the MCP conformance suite for authorization servers."""
    async with asyncio.timeout(SECONDS):
        process = await run(
            "node_modules/@modelcontextprotocol/conformance/dist/index.js",
            "authorization",
            *("--url", server.issuer, "--client-id", client_id, "--resource", MCP),
            *("--port", str(port), "--output-dir", str(results)),
        )
        assert process.stdout is not None
        heard: list[str] = []
        async for line in process.stdout:
            heard.append(line.decode().rstrip())
            if heard[-1].startswith(f"{server.issuer}/authorize?"):
                url = await sent_back(server, server.browser(), heard[-1])
                async with httpx.AsyncClient(trust_env=False) as elsewhere:
                    assert (await elsewhere.get(url)).status_code < 400
        assert await process.wait() == 0, "\n".join(heard)
    return checks_in(results)


def checks_in(results: Path) -> list[dict[str, str]]:
    return [check for file in sorted(results.rglob("*.json")) for check in json.loads(file.read_text())]


def redirect_to(port: int) -> str:
    return f"http://127.0.0.1:{port}/callback"


def assert_passed(checks: list[dict[str, str]]) -> None:
    assert {check["id"] for check in checks} >= {"authorization-code-grant"}
    assert [check for check in checks if check["status"] not in ("SUCCESS", "INFO")] == []


async def test_the_mcp_suite_passes_with_a_client_that_registered(server: AuthServer, tmp_path: Path) -> None:
    port = free_port()
    client = await server.register(redirect_uris=[redirect_to(port)])
    assert_passed(await suite(server, client["client_id"], port, tmp_path / "results"))


async def test_the_mcp_suite_passes_with_a_client_known_by_its_document(tmp_path: Path) -> None:
    client_id, port = "https://agent.example/client.json", free_port()
    document = {"client_id": client_id, "client_name": "Suite", "redirect_uris": [redirect_to(port)]}

    async def resolve(_: str, __: int) -> list[str]:
        return ["93.184.215.14"]

    web = httpx.MockTransport(lambda _: httpx.Response(200, json=document))
    clock = Clock(int(time.time()))
    async with listening(tmp_path, clock=clock, transport=web, resolver=resolve) as server:
        assert_passed(await suite(server, client_id, port, tmp_path / "results"))
