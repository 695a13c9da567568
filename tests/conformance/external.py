"""The whole system behind somebody else's authorization server: only profile and addresses differ."""

import asyncio
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2

from demo.browser import AuthorizationResponse, Browser, Page
from demo.keys import public_part, signing_key, write_jwk
from demo.parts import BROKER, GATEWAY, MCP_PATH, STOCKS
from demo.processes import inherited_environment
from demo.stack import Stack, StackOptions, running_stack
from tests.support.redis_server import free_port

REDIRECT_URI = "http://127.0.0.1:8765/callback"
SCOPE = "stocks/read"

Login = Callable[[Browser, Page], Awaitable[Page | AuthorizationResponse]]
"""Answers one page as the user would."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the authorization server is."""

    profile: str
    issuer: str
    jwks: str
    authorization: str
    token: str
    introspection: str


@dataclass(frozen=True, slots=True)
class World:
    """An authorization server, and the system that trusts it."""

    endpoints: Endpoints
    stack: Stack


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be known to the authorization server before the system starts."""

    directory: Path
    gateway_port: int
    broker_jwk: dict[str, Any]

    @classmethod
    def draw(cls, directory: Path) -> "Plan":
        """Choose a port and make a key."""
        private = signing_key("token-broker")
        write_jwk(directory / "broker.json", private)
        return cls(directory, free_port(), public_part(private))

    @property
    def mcp(self) -> str:
        """The MCP resource."""
        return f"http://127.0.0.1:{self.gateway_port}{MCP_PATH}"


def loopback_client() -> httpx2.AsyncClient:
    """Return a client that sends `Secure` cookies over plain HTTP, as browsers do on loopback."""
    cookies = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
    return httpx2.AsyncClient(
        cookies=cookies, follow_redirects=False, trust_env=False, timeout=httpx2.Timeout(30.0)
    )


@asynccontextmanager
async def world_of(server: Endpoints, plan: Plan) -> AsyncGenerator[World]:
    """Run gateway, broker and API against the server."""
    trust = {"ISSUER": server.issuer, "JWKS_URI": server.jwks}
    broker = {
        "BROKER_PROFILE": server.profile,
        "BROKER_TOKEN_ENDPOINT": server.token,
        "BROKER_INTROSPECTION_ENDPOINT": server.introspection,
        "BROKER_CLIENT_KEY_FILE": str(plan.directory / "broker.json"),
    }
    extra = {
        BROKER: broker | {f"BROKER_{name}": value for name, value in trust.items()},
        GATEWAY: {f"GATEWAY_{name}": value for name, value in trust.items()}
        | {"GATEWAY_MEMORY_SECONDS": "0"},
        STOCKS: {f"STOCKS_{name}": value for name, value in trust.items()},
    }
    options = StackOptions(
        ports={GATEWAY: plan.gateway_port}, log_level="debug", logs=plan.directory / "logs", extra=extra
    )
    async with running_stack(options) as stack:
        yield World(server, stack)


async def assert_profile_fits(stack: Stack) -> None:
    """Run `python -m token_broker profile check` with the broker's own settings."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "token_broker", "profile", "check"),
        env=inherited_environment() | dict(stack.processes[BROKER].environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    points = [line.partition(":")[0].split() for line in output.decode().splitlines()]
    expected = [["fits", point] for point in ("metadata", "keys", "introspection", "exchange")]
    assert (points, process.returncode) == (expected, 0), output.decode()


async def access_token(
    server: Endpoints,
    http: httpx2.AsyncClient,
    login: Login,
    *,
    client_id: str,
    resource: str | None = None,
    scope: str = SCOPE,
) -> str:
    """Get a token by authorization code with PKCE (RFC 7636), the user answering the server's own pages."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    target = {} if resource is None else {"resource": resource}
    request = target | {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT_URI,
        "scope": scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    async with Browser(REDIRECT_URI, client=loopback_client()) as browser:
        at = await browser.open(f"{server.authorization}?{urlencode(request)}")
        for _ in range(5):
            if isinstance(at, AuthorizationResponse):
                break
            at = await login(browser, at)
    assert isinstance(at, AuthorizationResponse), at.text
    assert (at.state, at.error) == (state, None), at.error_description
    form = target | {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": at.code or "",
        "redirect_uri": REDIRECT_URI,
        "code_verifier": verifier,
    }
    response = await http.post(server.token, data=form)
    assert response.status_code == 200, response.text
    return json.loads(response.text)["access_token"]
