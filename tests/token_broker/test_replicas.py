"""Four processes on one Redis: the authorization server is asked once for all of them."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from joserfc.jws import extract_compact

from authcore.clock import monotonic
from tests.support.redis_server import RedisServer
from tests.token_broker.conftest import soon
from tests.token_broker.fake_authorization_server import TOKEN
from tests.token_broker.replicas import Fleet, Replica, fleet

REPLICAS = 4
HTTP_DEADLINE_SECONDS = 4


@pytest.fixture
async def brokers(own_redis: RedisServer, tmp_path: Path) -> AsyncGenerator[Fleet]:
    settings = {"BROKER_HTTP_DEADLINE_SECONDS": str(HTTP_DEADLINE_SECONDS)}
    async with fleet(own_redis.url, tmp_path, size=REPLICAS, **settings) as started:
        yield started


def leader(brokers: Fleet) -> Replica:
    """The replica whose request is at the authorization server."""
    kid = extract_compact(brokers.server.forms[-1]["client_assertion"].encode()).headers()["kid"]
    return next(replica for replica in brokers.replicas if replica.key.kid == kid)


async def test_a_thousand_first_calls_at_four_replicas_are_one_introspection_and_one_exchange(
    brokers: Fleet, token: str
) -> None:
    brokers.knows(token)
    responses = await asyncio.gather(*(brokers.exchange(token, number) for number in range(1000)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["access_token"] for response in responses}) == 1
    assert (brokers.server.introspections, brokers.server.exchanges) == (1, 1)


async def test_when_the_leader_is_killed_in_the_middle_another_takes_over_and_everybody_is_answered(
    brokers: Fleet, token: str
) -> None:
    brokers.knows(token)
    brokers.server.held = frozenset({TOKEN})
    brokers.server.asked.clear()
    brokers.server.may_answer.clear()
    calls = [asyncio.create_task(brokers.exchange(token, number)) for number in range(200)]
    await soon(brokers.server.asked)
    began = monotonic()
    leader(brokers).kill()
    brokers.server.may_answer.set()
    responses = await asyncio.gather(*calls)
    took = monotonic() - began
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["access_token"] for response in responses}) == 1
    assert brokers.server.introspections <= 2
    assert brokers.server.exchanges <= 2
    assert took < 2 * (HTTP_DEADLINE_SECONDS + 1)
