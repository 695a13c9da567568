"""What happens when Redis is gone, frozen or full."""

import asyncio

import pytest
from pydantic import SecretStr

from tests.support.redis_server import RedisServer
from tests.token_broker.conftest import Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer


@pytest.fixture
async def broker(start: Start, own_redis: RedisServer) -> Broker:
    return await start(redis_url=SecretStr(own_redis.url), redis_timeout_seconds=0.5)


async def refused(broker: Broker, token: str) -> None:
    """Every answer is 503, in time."""
    async with asyncio.timeout(3):
        for response in await asyncio.gather(
            broker.introspect(token), broker.exchange(token), broker.introspect(token + "2")
        ):
            assert response.status_code == 503
            assert response.headers["retry-after"] == "2"
            assert response.json()["error"] == "temporarily_unavailable"


async def test_without_redis_nothing_is_answered_and_with_it_everything_is_again(
    broker: Broker, own_redis: RedisServer, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    assert (await broker.exchange(token)).status_code == 200
    await asyncio.to_thread(own_redis.stop)
    for _ in range(3):
        await refused(broker, token)
    assert server.exchanges == 1
    await asyncio.to_thread(own_redis.start)
    responses = await asyncio.gather(*(broker.exchange(token) for _ in range(5)))
    assert {response.status_code for response in responses} == {200}
    assert server.exchanges == 2


async def test_a_frozen_redis_is_waited_for_only_so_long(
    broker: Broker, own_redis: RedisServer, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    assert (await broker.introspect(token)).status_code == 200
    own_redis.freeze()
    await refused(broker, token)
    own_redis.thaw()
    assert (await broker.introspect(token)).status_code == 200


async def test_a_redis_that_dies_during_an_exchange_gives_no_token_away(
    broker: Broker, own_redis: RedisServer, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    assert (await broker.introspect(token)).status_code == 200

    server.asked.clear()
    server.may_answer.clear()
    exchange = asyncio.create_task(broker.exchange(token))
    await asyncio.wait_for(server.asked.wait(), 5)
    await asyncio.to_thread(own_redis.stop)
    server.may_answer.set()
    assert (await exchange).status_code == 503


async def test_more_callers_than_connections_wait_their_turn(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    broker = await start(redis_max_connections=2)
    server.knows(token)
    responses = await asyncio.gather(*(broker.introspect(token) for _ in range(50)))
    assert {response.status_code for response in responses} == {200}


async def test_readiness_tells_that_redis_is_missing_while_liveness_does_not_care(
    broker: Broker, own_redis: RedisServer
) -> None:
    ready = await broker.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"redis": "ok", "signing keys": "ok"})
    await asyncio.to_thread(own_redis.stop)
    not_ready = await broker.http.get("/readyz")
    assert not_ready.status_code == 503
    assert not_ready.json() == {"redis": "redis: ConnectionError", "signing keys": "ok"}
    assert (await broker.http.get("/livez")).status_code == 200
    await asyncio.to_thread(own_redis.start)
    assert (await broker.http.get("/readyz")).status_code == 200
