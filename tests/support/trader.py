"""An agent with a key of its own, which may place orders, and what else a journey of approvals takes."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from urllib.parse import urlencode

import httpx2

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from demo import keys
from demo.browser import Browser, Page, Visitor
from demo.inbox import newest_password
from demo.parts import GATEWAY
from demo.ports import HOST
from demo.processes import PartProcess, stop_all
from demo.stack import Stack
from tests.support.eventually import eventually
from tests.support.redis_server import free_port

CALLBACK = "http://127.0.0.1:33419/callback"
SCOPES = "stocks/read stocks/trade"


async def trading_token(stack: Stack, http: httpx2.AsyncClient, email: str) -> str:
    """Register with a key, log in, consent: a token of assurance level 2 with both scopes."""
    key = keys.signing_key("trader")
    metadata = {
        "client_name": "Trading agent",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [keys.public_part(key)]},
    }
    issuer = stack.addresses.issuer
    registered = await http.post(f"{issuer}/register", json=metadata)
    assert registered.status_code == 201, registered.text
    client_id = registered.json()["client_id"]
    verifier = secrets.token_urlsafe(32)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": SCOPES,
        "state": "s",
        "resource": stack.addresses.mcp,
        "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    visitor = Visitor(email, partial(newest_password, stack.addresses.inbox))
    async with Browser(CALLBACK) as browser:
        answer = await visitor.go(browser, f"{issuer}/authorize?{urlencode(query)}")
    signer = ClientAssertionSigner(client_id, key, now=system_clock)
    form = {
        "grant_type": "authorization_code",
        "code": answer.code or "",
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
        "resource": stack.addresses.mcp,
    }
    response = await http.post(f"{issuer}/token", data=form | signer.parameters(issuer))
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


async def read_page(stack: Stack, email: str, url: str) -> Page:
    """Open an approval's page in a new browser, signing in as this user, and return what it shows."""
    async with Browser(CALLBACK) as browser:
        return await signed_in(stack, browser, email, url)


async def signed_in(stack: Stack, browser: Browser, email: str, url: str) -> Page:
    """Walk through the authorization server to the page."""
    user = Visitor(email, partial(newest_password, stack.addresses.inbox))
    return await user.arrive(browser, url, at=stack.addresses.gateway)


async def decide(stack: Stack, email: str, url: str, decision: str) -> Page:
    """Open an approval's page as this user and press a button; return the page that follows."""
    async with Browser(CALLBACK) as browser:
        page = await signed_in(stack, browser, email, url)
        (form,) = page.forms
        answer = await browser.submit(page, form, {}, press=form.button(decision))
        assert isinstance(answer, Page)
        return answer


@asynccontextmanager
async def another_gateway(stack: Stack, **settings: str) -> AsyncGenerator[str]:
    """A second replica of the gateway, with the same keys and the same Redis; yields where it answers."""
    first, port = stack.processes[GATEWAY], free_port()
    environment = {
        **first.environment,
        "GATEWAY_PORT": str(port),
        "GATEWAY_ALLOWED_HOSTS": f'["{HOST}:{port}"]',
        **settings,
    }
    url = f"http://{HOST}:{port}"
    replica = PartProcess(
        "replica", first.arguments, environment, first.log.with_name("replica.log"), url, first.group
    )
    replica.spawn()
    try:
        await eventually(lambda: replica.exit_code is not None or answers(url), within_seconds=30)
        yield url
    finally:
        await stop_all([replica], grace_seconds=3)


def answers(url: str) -> bool:
    """Tell whether a part is ready."""
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False
