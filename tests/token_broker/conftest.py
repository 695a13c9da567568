"""The broker in one process, with a real Redis and an authorization server that a test directs."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from joserfc.jwk import ECKey
from pydantic import SecretStr

from authcore.client_assertion import ClientAssertionSigner
from authcore.key_ring import base64url, parse_ring
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, MEDIA_TYPE_JWT, TOKEN_TYPE_ACCESS_TOKEN
from authcore.redis_client import connect
from tests.support.issuer import ISSUER, JWKS_URI, Clock, ec_key
from tests.token_broker.fake_authorization_server import INTROSPECT, TOKEN, FakeAuthorizationServer
from token_broker.app import create_app
from token_broker.delegations import CacheResult, DelegationStore
from token_broker.sealing import Sealer
from token_broker.settings import CallerSettings, Settings

URL = "https://broker.test"
RESOURCE = "https://mcp.test/mcp"
API = "https://api.demo.example"

BROKER_KEY = ec_key("broker")
GATEWAY_KEY = ec_key("gateway")
OTHER_KEY = ec_key("other")
OPERATOR_KEY = ec_key("operator")


@dataclass
class Broker:
    """A replica of the broker and a caller of it, the gateway unless told otherwise."""

    http: httpx.AsyncClient
    clock: Clock

    def assertion(
        self, client_id: str = "mcp-gateway", key: ECKey = GATEWAY_KEY, audience: str = URL
    ) -> dict[str, str]:
        signer = ClientAssertionSigner(client_id, key.as_dict(private=True), now=self.clock)
        return signer.parameters(audience)

    async def introspect(
        self, token: str, *, accept: str = MEDIA_TYPE_JWT, credentials: dict[str, str] | None = None
    ) -> httpx.Response:
        form = {"token": token} | (self.assertion() if credentials is None else credentials)
        return await self.http.post("/introspect", data=form, headers={"accept": accept})

    async def exchange(
        self,
        token: str,
        *,
        credentials: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **changes: Any,
    ) -> httpx.Response:
        """Ask for a token for the API; a change to `None` leaves a parameter out."""
        form: dict[str, Any] = {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            "audience": API,
            "scope": "stocks/read",
        } | changes
        form |= self.assertion() if credentials is None else credentials
        return await self.http.post(
            "/token",
            data={name: value for name, value in form.items() if value is not None},
            headers=headers,
        )


Start = Callable[..., Awaitable[Broker]]
"""Starts a replica: with other settings, if any are given."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def token() -> str:
    return "_0XBPWQQ_" + secrets.token_urlsafe(32)


@pytest.fixture
def delegation() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(
        url=URL,
        issuer=ISSUER,
        jwks_uri=JWKS_URI,
        introspection_endpoint=INTROSPECT,
        token_endpoint=TOKEN,
        client_key=SecretStr(json.dumps(BROKER_KEY.as_dict(private=True))),
        redis_url=SecretStr(redis_url),
        redis_timeout_seconds=5.0,
        sealing_key=SecretStr(base64url(secrets.token_bytes(32))),
        callers={
            "mcp-gateway": caller(GATEWAY_KEY),
            "operator": CallerSettings(jwks=public(OPERATOR_KEY), operator=True),
            "other": caller(OTHER_KEY, resource="https://other.test/mcp", scopes=frozenset({"other/read"})),
        },
    )


def public(key: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False)]}


def caller(key: ECKey, **changes: Any) -> CallerSettings:
    configured: dict[str, Any] = {
        "jwks": public(key),
        "resource": RESOURCE,
        "audiences": frozenset({API, "https://reports.demo.example"}),
        "scopes": frozenset({"stocks/read", "stocks/trade"}),
    }
    return CallerSettings(**(configured | changes))


@pytest.fixture
def server(clock: Clock) -> FakeAuthorizationServer:
    return FakeAuthorizationServer(clock, [BROKER_KEY])


@pytest.fixture
async def start(settings: Settings, server: FakeAuthorizationServer, clock: Clock) -> AsyncGenerator[Start]:
    async with AsyncExitStack() as stack:

        async def replica(**changes: Any) -> Broker:
            app = create_app(settings.model_copy(update=changes), transport=server.transport(), now=clock)
            running = await stack.enter_async_context(LifespanManager(app))
            http = httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url=URL)
            return Broker(await stack.enter_async_context(http), clock)

        yield replica


@pytest.fixture
async def broker(start: Start) -> Broker:
    return await start()


@pytest.fixture
def counted() -> list[CacheResult]:
    return []


@pytest.fixture
async def store(
    settings: Settings, clock: Clock, counted: list[CacheResult]
) -> AsyncGenerator[DelegationStore]:
    """The store as a replica has it, with the same Redis and keys."""
    redis = connect(settings.redis_url.get_secret_value(), timeout_seconds=0.5, max_connections=4)
    yield DelegationStore(
        redis,
        Sealer(parse_ring(settings.sealing_key.get_secret_value())),
        now=clock,
        leeway_seconds=settings.cache_leeway_seconds,
        tombstone_seconds=settings.tombstone_seconds,
        count=counted.append,
    )
    await redis.aclose()


async def soon(event: asyncio.Event) -> None:
    """Wait for something that must happen."""
    await asyncio.wait_for(event.wait(), 5)
