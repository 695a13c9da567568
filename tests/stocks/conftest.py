"""The stocks API with an issuer it trusts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from authcore.redis_client import BoundedRedis, connect
from stocks.app import create_app
from stocks.price_store import PriceStore
from stocks.settings import Settings
from tests.support.issuer import ISSUER, JWKS_URI, Clock, Issuer

AUDIENCE = "https://api.demo.example"
BROKER = "token-broker"
"""The service that may act for users."""

TRADER: dict[str, Any] = {"scope": "stocks/trade", "client_assurance_level": 2, "act": {"sub": BROKER}}
"""What a token of an agent needs, besides what every token has, to place orders."""

ORDER = {"stock_id": "COM1", "side": "buy", "quantity": 2}


@dataclass
class Api:
    """The API under test; every request signs a token with the claims a test changes."""

    http: httpx.AsyncClient
    issuer: Issuer
    clock: Clock
    app: FastAPI

    async def get(self, path: str, **claims: Any) -> httpx.Response:
        return await self.http.get(path, headers=self.bearer(**claims))

    async def place(self, order: object, key: str | None = "key-1", **claims: Any) -> httpx.Response:
        headers = self.bearer(**(TRADER | claims)) | ({} if key is None else {"idempotency-key": key})
        return await self.http.post("/orders", json=order, headers=headers)

    async def placed(self, key: str = "key-1", *, claims: dict[str, Any] | None = None, **terms: Any) -> str:
        """Place an order that is accepted, and return its id."""
        response = await self.place(ORDER | terms, key, **(claims or {}))
        assert response.status_code == 201, response.text
        return response.json()["id"]

    async def orders(self, query: str = "", **claims: Any) -> httpx.Response:
        return await self.get("/orders" + query, **(TRADER | claims))

    async def order(self, order_id: str, **claims: Any) -> httpx.Response:
        return await self.get(f"/orders/{order_id}", **(TRADER | claims))

    async def cancel(self, order_id: str, **claims: Any) -> httpx.Response:
        return await self.http.delete(f"/orders/{order_id}", headers=self.bearer(**(TRADER | claims)))

    def bearer(self, **claims: Any) -> dict[str, str]:
        merged: dict[str, Any] = {"aud": AUDIENCE} | claims
        return {"authorization": f"Bearer {self.issuer.sign(**merged)}"}


def settings_of(store_url: str, **changes: Any) -> Settings:
    """Return good settings for a store."""
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "jwks_uri": JWKS_URI,
        "audience": AUDIENCE,
        "store_url": store_url,
        "allowed_actors": frozenset({BROKER}),
    }
    return Settings(**(given | changes))


@asynccontextmanager
async def running(settings: Settings, issuer: Issuer, clock: Clock) -> AsyncGenerator[Api]:
    """Run one replica."""
    app = create_app(settings, transport=issuer.transport(), now=clock)
    async with (
        LifespanManager(app) as managed,
        httpx.AsyncClient(transport=httpx.ASGITransport(managed.app), base_url="https://api.test") as http,
    ):
        yield Api(http, issuer, clock, app)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'stocks.sqlite'}"


@pytest.fixture
async def api(sqlite_url: str) -> AsyncGenerator[Api]:
    async with running(settings_of(sqlite_url), Issuer(), Clock()) as api:
        yield api


@pytest.fixture
async def client(redis_url: str) -> AsyncGenerator[BoundedRedis]:
    bounded = connect(redis_url, timeout_seconds=2, max_connections=4)
    yield bounded
    await bounded.aclose()


@pytest.fixture
def store(client: BoundedRedis) -> PriceStore:
    return PriceStore(client)
