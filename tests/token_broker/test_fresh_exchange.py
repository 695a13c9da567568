"""An exchanged token that its target has refused is replaced, past every memory."""

import asyncio

from tests.support.issuer import Clock
from tests.token_broker.conftest import Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer


async def test_a_token_that_its_target_has_refused_is_replaced_for_every_replica(
    start: Start, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    one, other = await start(), await start()
    refused = (await one.exchange(token)).json()["access_token"]
    clock.seconds += 5
    for header in ("no-cache", "max-age=0, No-Cache"):
        clock.seconds += 1
        replaced = (await one.exchange(token, headers={"cache-control": header})).json()["access_token"]
        assert replaced != refused
        assert (await other.exchange(token)).json()["access_token"] == replaced
    assert server.exchanges == 2


async def test_many_that_were_refused_at_once_cause_one_exchange(
    start: Start, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    replicas = [await start(), await start()]
    await replicas[0].exchange(token)
    clock.seconds += 5
    fresh = {"cache-control": "no-cache"}
    answers = await asyncio.gather(*(replicas[n % 2].exchange(token, headers=fresh) for n in range(20)))
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert server.exchanges == 2
