"""Exchanged tokens are replaced before they end: once, beside the calls, and only while somebody calls."""

import asyncio
import logging

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.issuer import NOW, Clock
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import Broker, Start, soon
from tests.token_broker.fake_authorization_server import TOKEN, FakeAuthorizationServer

LEEWAY = 10
END = NOW + 400
NEAR_ITS_END = END - LEEWAY - 2


async def exchanged(broker: Broker, token: str) -> str:
    response = await broker.exchange(token)
    assert response.status_code == 200
    return response.json()["access_token"]


@pytest.fixture
def lasting(server: FakeAuthorizationServer, token: str) -> str:
    """A subject token that outlives what it is exchanged for."""
    server.knows(token, exp=NOW + 3000)
    server.exchanged_claims = {"exp": END}
    return token


def next_lives_longer(server: FakeAuthorizationServer) -> None:
    server.exchanged_claims = {"exp": NOW + 1200, "iat": NEAR_ITS_END}


async def test_callers_get_the_old_token_while_one_refresh_is_under_way_and_then_the_new_one(
    start: Start, server: FakeAuthorizationServer, clock: Clock, lasting: str
) -> None:
    one, other = await start(), await start()
    old = await exchanged(one, lasting)
    clock.seconds = NEAR_ITS_END
    next_lives_longer(server)
    server.held = frozenset({TOKEN})
    server.asked.clear()
    server.may_answer.clear()
    calls = await asyncio.gather(*(exchanged(broker, lasting) for broker in (one, other) * 10))
    assert set(calls) == {old}
    await soon(server.asked)
    assert set(await asyncio.gather(*(exchanged(broker, lasting) for broker in (one, other) * 10))) == {old}
    server.may_answer.set()
    await eventually(lambda: server.exchanges == 2)
    new = server.jwts[-1]
    async with asyncio.timeout(5):
        while await exchanged(one, lasting) != new:
            pass
    clock.seconds = END + 60
    assert await exchanged(one, lasting) == await exchanged(other, lasting) == new
    assert server.exchanges == 2


async def test_nothing_is_refreshed_while_there_is_time(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, lasting: str
) -> None:
    await exchanged(broker, lasting)
    clock.seconds = END - LEEWAY - 31
    for _ in range(3):
        await exchanged(broker, lasting)
    assert server.exchanges == 1


async def test_a_token_that_lives_as_long_as_its_subject_is_never_refreshed(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token, exp=END)
    await exchanged(broker, token)
    for seconds in range(END - LEEWAY - 31, END - LEEWAY):
        clock.seconds = seconds
        await exchanged(broker, token)
    assert server.exchanges == 1


async def test_it_can_be_turned_off(
    start: Start, server: FakeAuthorizationServer, clock: Clock, lasting: str
) -> None:
    broker = await start(refresh_ahead_seconds=0)
    await exchanged(broker, lasting)
    clock.seconds = END - LEEWAY - 1
    await exchanged(broker, lasting)
    assert server.exchanges == 1


async def test_a_failure_is_logged_and_costs_nobody_and_is_not_repeated_at_once(
    start: Start,
    server: FakeAuthorizationServer,
    clock: Clock,
    lasting: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = await start(), await start()
    old = await exchanged(one, lasting)
    clock.seconds = NEAR_ITS_END
    server.on_exchange = lambda: httpx.Response(500, text=lasting)
    caplog.set_level(logging.WARNING, "token_broker.refresh_ahead")
    for _ in range(5):
        assert await exchanged(one, lasting) == await exchanged(other, lasting) == old
    await eventually(lambda: "could not be replaced" in caplog.text)
    assert await exchanged(one, lasting) == old
    assert server.exchanges == 2
    assert lasting not in caplog.text


async def test_a_refresh_does_not_bring_back_a_delegation_that_is_revoked_meanwhile(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, lasting: str, redis: RedisContents
) -> None:
    await exchanged(broker, lasting)
    clock.seconds = NEAR_ITS_END
    next_lives_longer(server)
    server.held = frozenset({TOKEN})
    server.asked.clear()
    server.may_answer.clear()
    await exchanged(broker, lasting)
    await soon(server.asked)
    revoked = await broker.http.post("/revoke", data={"token": lasting} | broker.assertion())
    assert revoked.status_code == 200
    server.may_answer.set()
    await eventually(lambda: server.exchanges == 2)
    assert (await broker.exchange(lasting)).json()["error"] == "invalid_grant"
    assert redis.delegations() == []


async def test_what_is_under_way_ends_with_the_process(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, lasting: str
) -> None:
    await exchanged(broker, lasting)
    clock.seconds = NEAR_ITS_END
    server.held = frozenset({TOKEN})
    server.asked.clear()
    server.may_answer.clear()
    await exchanged(broker, lasting)
    await soon(server.asked)
    # The fixture ends the replica while the authorization server still holds its answer back.
