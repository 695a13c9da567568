"""The stocks API with an issuer it trusts."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager

from stocks.app import create_app
from stocks.settings import Settings
from tests.support.issuer import ISSUER, JWKS_URI, Clock, Issuer

AUDIENCE = "https://api.demo.example"


@dataclass
class Api:
    """The API under test; `get` signs a token with the claims a test changes."""

    http: httpx.AsyncClient
    issuer: Issuer
    clock: Clock

    async def get(self, path: str, **claims: Any) -> httpx.Response:
        merged: dict[str, Any] = {"aud": AUDIENCE} | claims
        token = self.issuer.sign(**merged)
        return await self.http.get(path, headers={"authorization": f"Bearer {token}"})


@pytest.fixture
async def api() -> AsyncGenerator[Api]:
    issuer, clock = Issuer(), Clock()
    settings = Settings(issuer=ISSUER, jwks_uri=JWKS_URI, audience=AUDIENCE)
    app = create_app(settings, transport=issuer.transport(), now=clock)
    async with (
        LifespanManager(app) as running,
        httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url="https://api.test") as http,
    ):
        yield Api(http, issuer, clock)
