"""A revocation at every moment of an exchange: before and after each use of Redis and each answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from asgi_lifespan import LifespanManager
from redis.asyncio import Redis

from authcore.redis_client import BoundedRedis, connect
from tests.support.issuer import Clock
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import URL, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from tests.token_broker.test_revocation import end
from token_broker.app import create_app
from token_broker.settings import Settings


@dataclass
class Moments:
    """Counts what a replica does, and lets something happen at one of those moments."""

    passed: list[str] = field(default_factory=list[str])
    at: int | None = None
    happens: Callable[[], Awaitable[None]] | None = None

    async def passes(self, moment: str) -> None:
        self.passed.append(moment)
        if self.happens is not None and len(self.passed) - 1 == self.at:
            await self.happens()


@dataclass(frozen=True)
class WatchedRedis(BoundedRedis):
    """Says when it is about to be used, and when it has been."""

    moments: Moments = field(default_factory=Moments)

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Redis]:
        await self.moments.passes("before Redis")
        async with super().use() as redis:
            yield redis
        await self.moments.passes("after Redis")


@dataclass
class Watched:
    broker: Broker
    moments: Moments


@pytest.fixture
async def watched(
    settings: Settings, server: FakeAuthorizationServer, clock: Clock
) -> AsyncGenerator[Watched]:
    """A replica whose every step can be interrupted. Its heartbeats are no steps of an exchange."""
    moments = Moments()
    connection = connect(settings.redis_url.get_secret_value(), timeout_seconds=5, max_connections=4)
    redis = WatchedRedis(connection.client, connection.deadline_seconds, connection.places, moments=moments)

    async def answer(request: httpx.Request) -> httpx.Response:
        await moments.passes("before the authorization server")
        response = await server.respond(request)
        await moments.passes("after the authorization server")
        return response

    quiet = settings.model_copy(update={"heartbeat_seconds": 3600.0})
    app = create_app(quiet, transport=httpx.MockTransport(answer), redis=redis, now=clock)
    async with (
        LifespanManager(app) as running,
        httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url=URL) as http,
    ):
        yield Watched(Broker(http, clock), moments)


@pytest.mark.parametrize("known", [False, True], ids=["first call", "phantom known"])
async def test_a_revocation_at_any_moment_of_an_exchange_leaves_nothing_behind(
    watched: Watched,
    start: Start,
    server: FakeAuthorizationServer,
    redis: RedisContents,
    token: str,
    known: bool,
) -> None:
    other = await start()

    async def exchanged(delegation: str, at: int | None) -> httpx.Response:
        """Exchange a token of its own; at that moment another replica ends its delegation."""

        async def revoke() -> None:
            assert (await end(other, delegation)).status_code == 204

        server.knows(token + delegation, delegationId=delegation)
        if known:
            assert (await other.introspect(token + delegation)).status_code == 200
        watched.moments.passed.clear()
        watched.moments.at, watched.moments.happens = at, revoke
        return await watched.broker.exchange(token + delegation)

    # The first one fetches the signing keys as well.
    for delegation in ("one", "two"):
        assert (await exchanged(delegation, None)).status_code == 200
    moments = list(watched.moments.passed)
    assert len(moments) >= 12
    for at, moment in enumerate(moments):
        delegation = f"d{at}"
        response = await exchanged(delegation, at)
        assert f"{{d:{delegation}}}:tokens" not in redis.delegations(), moment
        # An answer may leave only if all that was left to do when the revocation came was to give it.
        assert response.status_code == 400 or at >= len(moments) - 4, (at, moment)
        for replica in (watched.broker, other):
            late = await replica.exchange(token + delegation)
            assert (late.status_code, late.json()["error"]) == (400, "invalid_grant"), moment
