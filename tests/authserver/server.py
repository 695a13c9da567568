"""A running authorization server in memory, with real SQLite, and those who use it."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from asgi_lifespan import LifespanManager
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.types import ASGIApp

from authcore.client_assertion import ClientAssertionSigner
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN
from authserver.app import create_app
from authserver.event_delivery import Backoff
from authserver.policy import POLICY, Policy
from authserver.public_fetch import Resolver, system_resolver
from authserver.settings import Settings
from tests.authserver.browser import Browser, Page
from tests.support.issuer import Clock, ec_key

ORIGIN = "http://127.0.0.1:8090"
ISSUER = f"{ORIGIN}/oauth/v2/oauth-anonymous"
MCP = "http://127.0.0.1:8080/mcp"
API = "https://api.demo.example"
OTHER_API = "https://other.demo.example"
BROKER = "token-broker"
CALLBACK = "http://127.0.0.1:3000/callback"
JOHN = "john.doe@demo.example"
JANE = "jane.test@demo.example"
VERIFIER = "a-code-verifier-that-is-long-enough-for-rfc-7636"

Json = dict[str, Any]


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def public_jwks(*keys: ECKey) -> Json:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def settings(state: Path, broker_key: ECKey, **changes: Any) -> Settings:
    values: Json = {
        "issuer": ISSUER,
        "state_path": state,
        "mcp_resource": MCP,
        "api_audiences": [API, OTHER_API],
        "clients": [
            {
                "client_id": BROKER,
                "jwks": public_jwks(broker_key),
                "grant_types": [GRANT_TOKEN_EXCHANGE],
                "introspection": True,
                "audiences": [API],
            }
        ],
    }
    return Settings.model_validate(values | changes)


class AuthServer:
    """The server as its clients see it."""

    def __init__(
        self,
        app: ASGIApp,
        clock: Clock,
        broker_key: ECKey,
        issuer: str,
        directory: Path,
    ) -> None:
        self.directory = directory
        self.app = app
        self.transport = httpx.ASGITransport(app)
        self.clock = clock
        self.issuer = issuer
        self.broker_key = broker_key
        origin = re.match(r"https?://[^/]+", issuer)
        assert origin is not None
        self.origin = origin[0]
        self.http = httpx.AsyncClient(transport=self.transport, base_url=self.origin, trust_env=False)

    def browser(self) -> Browser:
        return Browser(self.transport, self.origin)

    async def register(self, **metadata: Any) -> Json:
        document = {
            "client_name": "Test agent",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none",
        } | metadata
        response = await self.http.post(f"{self.issuer}/register", json=document)
        assert response.status_code == 201, response.text
        return response.json()

    async def authorize(self, browser: Browser, client_id: str, **changes: str | None) -> Page:
        parameters = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            "scope": "stocks/read",
            "state": "s1",
            "resource": MCP,
        } | changes
        present = {name: value for name, value in parameters.items() if value is not None}
        return await browser.open(f"{self.issuer}/authorize", **present)

    async def mails(self, recipient: str | None = None) -> list[Json]:
        response = await self.http.get("/inbox.json", params={"to": recipient} if recipient else None)
        return response.json()["mails"]

    async def log_in(self, browser: Browser, page: Page, email: str = JOHN) -> Page:
        page = await browser.submit(page, email=email)
        return await browser.submit(page, code=(await self.mails(email))[0]["code"])

    async def code(
        self, client_id: str, email: str = JOHN, browser: Browser | None = None, **changes: Any
    ) -> str:
        browser = browser or self.browser()
        page = await self.log_in(browser, await self.authorize(browser, client_id, **changes), email)
        page = await browser.submit(page, decision="allow")
        return page.callback["code"]

    async def redeem(self, client_id: str, code: str, /, **changes: str | None) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        } | changes
        return await self.post("token", form)

    async def token(self, email: str = JOHN, client_id: str | None = None, **changes: Any) -> str:
        """An opaque access token of a new client, after a whole flow."""
        if client_id is None:
            client_id = str((await self.register())["client_id"])
        response = await self.redeem(client_id, await self.code(client_id, email, **changes))
        assert response.status_code == 200, response.text
        return response.json()["access_token"]

    def assertion(
        self, audience: str | None = None, client_id: str = BROKER, key: ECKey | None = None
    ) -> Json:
        signer = ClientAssertionSigner(
            client_id, (key or self.broker_key).as_dict(private=True), now=self.clock
        )
        return dict(signer.parameters(audience or self.issuer))

    async def post(self, endpoint: str, form: dict[str, str | None], **headers: str) -> httpx.Response:
        present = {name: value for name, value in form.items() if value is not None}
        return await self.http.post(f"{self.issuer}/{endpoint}", data=present, headers=headers)

    async def exchange(self, subject_token: str, /, **changes: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            "audience": API,
            **self.assertion(),
        }
        return await self.post("token", form | changes)

    async def introspect(self, token: str, accept: str = "application/json") -> httpx.Response:
        return await self.post("introspect", {"token": token, **self.assertion()}, accept=accept)

    async def verified(self, token: str) -> jwt.Token:
        """Decode a JWT with the published keys."""
        published = (await self.http.get(f"{self.issuer}/jwks")).json()
        return jwt.decode(token, KeySet.import_key_set(published), algorithms=["ES256", "PS256", "RS256"])

    def state_files(self) -> list[Path]:
        return sorted(self.directory.glob("state.sqlite*"))

    async def counters(self) -> dict[str, int]:
        return (await self.http.get(f"{self.issuer}/debug/counters")).json()


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    clock: Clock | None = None,
    broker_key: ECKey | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    resolver: Resolver = system_resolver,
    policy: Policy = POLICY,
    backoff: Backoff | None = None,
    **changes: Any,
) -> AsyncGenerator[AuthServer]:
    clock, broker_key = clock or Clock(), broker_key or ec_key("broker")
    # Nothing but a test that says so may reach for a network.
    transport = transport or httpx.MockTransport(_no_network)
    configured = settings(directory / "state.sqlite", broker_key, **changes)
    app = create_app(
        configured, transport=transport, resolver=resolver, now=clock, policy=policy, backoff=backoff
    )
    async with LifespanManager(app) as manager:
        server = AuthServer(manager.app, clock, broker_key, configured.issuer, directory)
        yield server
        await server.http.aclose()


def _no_network(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"unexpected request to {request.url}")


def unverified(token: str) -> Json:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
