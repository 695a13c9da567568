"""The composition root of the stocks API."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from authcore.clock import Clock, system_clock
from authcore.http_client import pooled_client
from authcore.jwks import JwksClient
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from authcore.validator import TokenProfile, TokenValidator
from stocks import access, order_routes, prices
from stocks.authorization import Authorization
from stocks.price_book import PriceBook, record_opening_if_possible
from stocks.settings import Settings
from stocks.store import store_of

MAX_BODY_BYTES = 64 * 1024


def create_app(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, now: Clock = system_clock
) -> FastAPI:
    """Return the API. `transport` stands in for the network in tests."""
    client = pooled_client(
        timeout_seconds=settings.http_timeout_seconds, transport=transport, ca_file=settings.ca_file
    )
    jwks = JwksClient(client, settings.jwks_uri, now=now)
    profile = TokenProfile(
        issuer=settings.issuer,
        audience=frozenset({settings.audience}),
        algorithms=settings.signing_algorithms,
        token_types=frozenset({"at+jwt"}),
        clock_skew_seconds=settings.clock_skew_seconds,
    )
    authorization = Authorization(
        allowed_actors=settings.allowed_actors,
        trusted_client_types=settings.trusted_client_types,
        agent_order_limits=settings.agent_order_limits,
    )
    store = store_of(settings.store_url.get_secret_value())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[access.State]:
        async with client, store:
            price_book = PriceBook(store, now=now)
            await record_opening_if_possible(price_book)
            yield {
                "validator": TokenValidator(profile, jwks, now=now),
                "authorization": authorization,
                "store": store,
                "price_book": price_book,
                "now": now,
            }

    app = FastAPI(
        title="Stocks",
        description="Prices of the stocks of the caller's region, and orders for the caller's user.",
        lifespan=lifespan,
        telemetry=fastapi_telemetry(),
        redirect_slashes=False,
        # The OpenAPI document is served; its viewers would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        routes=list(health_routes({"signing keys": jwks.check, "store": store.check})),
    )
    app.include_router(prices.router)
    app.include_router(order_routes.router)
    access.add_refusals(app)
    app.add_middleware(RequestLimits, max_body_bytes=MAX_BODY_BYTES)
    return app
