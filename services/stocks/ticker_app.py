"""The composition root of the ticker: a FastStream application that publishes prices to Redis Streams."""

import logging
from contextlib import AsyncExitStack
from typing import Final

from faststream.asgi import AsgiFastStream
from faststream.redis import RedisBroker, StreamSub
from faststream.specification import AsyncAPI
from redis.asyncio.client import Pipeline

from authcore.background import in_background
from authcore.clock import monotonic, system_milliseconds
from authcore.events import PRICES, PriceUpdate, trace_context
from authcore.redis_client import connect
from authcore.service import health_routes
from stocks.lease import Lease
from stocks.price_moves import RandomWalk, Replay, Source, read_quotes
from stocks.price_store import Append, PriceStore
from stocks.ticker import LEASE_SECONDS, REGIONS, Ticker
from stocks.ticker_settings import TickerSettings

MAX_CONNECTIONS: Final = 4
NOWHERE: Final = "redis://redis.example"

logger = logging.getLogger(__name__)


def create_ticker(settings: TickerSettings) -> AsgiFastStream:
    """Return the ticker. It serves nothing but `/livez` and `/readyz`.

    Raises:
        ValueError: the file to replay is not one; says which line.
    """
    redis = connect(
        settings.redis_url.get_secret_value(),
        tls=settings.redis_tls,
        timeout_seconds=settings.redis_timeout_seconds,
        max_connections=MAX_CONNECTIONS,
    )
    # It never connects: every message goes out within a transaction on our own connection.
    broker = RedisBroker(NOWHERE, logger=logger)
    declare_publishers(broker, stream_length=settings.stream_length)
    ticker = Ticker(
        PriceStore(redis),
        Lease(redis, seconds=LEASE_SECONDS),
        _source(settings),
        _appending(broker, stream_length=settings.stream_length),
        clock=monotonic,
        now=system_milliseconds,
    )
    running = AsyncExitStack()

    async def begin() -> None:
        running.push_async_callback(redis.aclose)
        await running.enter_async_context(in_background(ticker.run(), "ticker"))

    return AsgiFastStream(
        broker,
        asgi_routes=[(route.path, route) for route in health_routes({"redis": redis.check})],
        after_startup=[begin],
        on_shutdown=[running.aclose],
        logger=logger,
        specification=specification(broker),
    )


def specification(broker: RedisBroker) -> AsyncAPI:
    """Return what the AsyncAPI document says."""
    return AsyncAPI(
        broker,
        title="Stock prices",
        version="1",
        description="Each region's stream tells of every new price of its stocks, in order and without gaps. "
        "What a reader does not know it ignores.",
    )


def declare_publishers(broker: RedisBroker, *, stream_length: int) -> None:
    """Tell the broker what is published, for the document."""
    for region in REGIONS:
        broker.publisher(
            stream=StreamSub(PRICES + region, maxlen=stream_length),
            schema=PriceUpdate,
            title=PRICES + region,
            description=f"New prices of the stocks of {region}.",
        )


def _appending(broker: RedisBroker, *, stream_length: int) -> Append:
    async def append(region: str, update: PriceUpdate, pipe: Pipeline) -> None:
        # By the broker: the publishers that are declared copy their stream at each message.
        await broker.publish(
            update,
            stream=PRICES + region,
            maxlen=stream_length,
            correlation_id=f"{region}-{update.sequence}",
            headers=trace_context(),
            pipeline=pipe,
        )

    return append


def _source(settings: TickerSettings) -> Source:
    if settings.replay is not None:
        return Replay(read_quotes(settings.replay), speed=settings.speed)
    return RandomWalk(updates_per_second=settings.updates_per_second, seed=settings.seed)
