"""A broker in front of a product."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager
from pydantic import SecretStr

from tests.support.issuer import Clock, ec_key
from tests.token_broker.conftest import URL, Broker
from tests.token_broker.products.product import Product
from token_broker.app import create_app
from token_broker.settings import Settings

ASSERTION_KEY = ec_key("assertions")

Front = Callable[..., Awaitable[Broker]]
"""Starts a broker for a product, with the profile of this name or with this text."""


@pytest.fixture
async def front(settings: Settings, clock: Clock, tmp_path: Path) -> AsyncGenerator[Front]:
    async with AsyncExitStack() as stack:

        async def start(product: Product, profile: str, **changes: object) -> Broker:
            if "\n" in profile:
                (tmp_path / "profile.toml").write_text(profile)
                profile = str(tmp_path / "profile.toml")
            told = settings.model_copy(
                update={
                    "profile": profile,
                    "issuer": product.issuer,
                    "jwks_uri": product.jwks_uri,
                    "introspection_endpoint": product.introspection_endpoint,
                    "token_endpoint": product.token_endpoint,
                    "client_secret": SecretStr("s3cret:&="),
                    "assertion_key": SecretStr(json.dumps(ASSERTION_KEY.as_dict(private=True))),
                    **changes,
                }
            )
            app = create_app(told, transport=product.transport(), now=clock)
            running = await stack.enter_async_context(LifespanManager(app))
            http = httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url=URL)
            return Broker(await stack.enter_async_context(http), clock)

        yield start
