"""The broker on a real Redis Cluster: keys are spread over nodes, and it makes no difference."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest
from pydantic import SecretStr

from authcore.clock import monotonic, system_milliseconds
from authcore.delegation_feed import DelegationFeed
from authcore.events import DELEGATIONS
from authcore.redis_client import connect
from tests.support.eventually import eventually
from tests.support.messages import LEGACY
from tests.support.redis_cluster import Cluster
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import Broker, Start, soon
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from tests.token_broker.replicas import fleet, gateways
from tests.token_broker.test_operators import listed
from tests.token_broker.test_revocation import end
from token_broker.announcements import Announcements

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
FAILOVER_SECONDS = 20.0


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster]:
    cluster = Cluster()
    cluster.form()
    yield cluster
    cluster.discard()


@pytest.fixture(scope="module")
def redis_database(cluster: Cluster) -> str:
    """Everything in this module that wants a Redis gets the cluster."""
    return cluster.url


async def test_a_hundred_first_calls_at_two_replicas_are_one_exchange_and_the_next_ones_none(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    replicas = [await start(), await start()]
    server.knows(token)
    responses = await asyncio.gather(*(replicas[number % 2].exchange(token) for number in range(100)))
    assert {response.status_code for response in responses} == {200}
    late = await (await start()).exchange(token)
    assert late.json()["access_token"] == responses[0].json()["access_token"]
    assert (server.introspections, server.exchanges) == (1, 1)


async def test_delegations_are_spread_over_all_nodes_and_each_is_on_one(
    broker: Broker, server: FakeAuthorizationServer, cluster: Cluster, redis: RedisContents, token: str
) -> None:
    for number in range(24):
        server.knows(f"{token}{number}", delegationId=f"d{number}")
        assert (await broker.exchange(f"{token}{number}")).status_code == 200
    keys = redis.delegations()
    assert len(keys) == 24
    assert {cluster.master_of(key) for key in keys} == {0, 1, 2}
    for key in keys:
        assert cluster.master_of(key) == cluster.master_of(key.replace("tokens", "revoked"))
        # The phantom and the exchanged token.
        assert len(redis.sealed(key)) == 2


async def test_a_revocation_at_one_replica_ends_the_delegation_at_all_of_them(
    start: Start, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    one, other = await start(), await start()
    for number in range(6):
        delegation, mine = f"d{number}", f"{token}{number}"
        server.knows(mine, delegationId=delegation)
        assert (await one.exchange(mine)).status_code == 200
        assert (await end(other, delegation)).status_code == 204
        assert redis.exists(f"{{d:{delegation}}}:revoked")
        for replica in (one, other, await start()):
            assert (await replica.exchange(mine)).json()["error"] == "invalid_grant"
    assert redis.announced() == [f"d{number}" for number in range(6)]
    assert (redis.pending(), redis.delegations()) == ([], [])


async def test_an_exchange_under_way_during_the_revocation_leaves_nothing_usable(
    start: Start, server: FakeAuthorizationServer, redis: RedisContents, token: str, delegation: str
) -> None:
    one, other = await start(), await start()
    server.knows(token, delegationId=delegation)
    assert (await one.introspect(token)).status_code == 200
    server.asked.clear()
    server.may_answer.clear()
    exchange = asyncio.create_task(one.exchange(token))
    await soon(server.asked)
    assert (await end(other, delegation)).status_code == 204
    server.may_answer.set()
    assert (await exchange).json()["error"] == "invalid_grant"
    assert redis.delegations() == []


async def test_heartbeats_arrive_and_of_many_replicas_one_sends_them(
    redis_url: str, redis: RedisContents
) -> None:
    connection = connect(redis_url, timeout_seconds=5, max_connections=8)
    announcements = Announcements(connection, now=system_milliseconds, heartbeat_seconds=60)
    await asyncio.gather(*(announcements.beat() for _ in range(8)))
    assert redis.entries() == 1
    feed = DelegationFeed(deaf_after_seconds=3)
    async with feed.listening(redis_url):

        def hears() -> bool:
            redis.add_entry(type="heartbeat", at="1")
            return feed.hearing

        await eventually(hears)
    await connection.aclose()


async def test_an_assertion_is_good_once_for_all_replicas(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    one, other = await start(), await start()
    server.knows(token)
    credentials = one.assertion()
    answers = [await each.introspect(token, credentials=credentials) for each in (one, other)]
    assert [answer.status_code for answer in answers] == [200, 401]


async def test_gateways_and_brokers_as_processes_refuse_a_revoked_delegation_at_once(
    redis_url: str, tmp_path: Path, token: str, delegation: str
) -> None:
    async with (
        fleet(redis_url, tmp_path, size=1) as brokers,
        gateways(brokers, redis_url, tmp_path) as started,
    ):
        brokers.knows(token, delegationId=delegation)
        headers = LEGACY | {"authorization": f"Bearer {token}"}

        async def statuses() -> set[int]:
            calls = (brokers.http.post(each.url + "/mcp", json=LIST, headers=headers) for each in started)
            return {response.status_code for response in await asyncio.gather(*calls)}

        assert await statuses() == {200}
        await brokers.revoke(token, brokers.replicas[0])
        async with asyncio.timeout(10):
            while await statuses() != {401}:
                pass


async def test_when_a_master_dies_its_replica_takes_over_and_calls_and_revocations_go_on(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    cluster = Cluster()
    try:
        # The first masters are chosen by slot; this one has the stream of delegations.
        cluster.form(replicas_of=1)
        assert cluster.master_of(DELEGATIONS) == 1
        changes = {"redis_url": SecretStr(cluster.url), "redis_timeout_seconds": 0.5}
        broker = await start(**changes)
        server.knows(token, delegationId="kept")
        assert (await broker.exchange(token)).status_code == 200
        cluster.nodes[1].kill()
        began = monotonic()
        seen = set[int]()
        while (await end(broker, "kept")).status_code != 204:
            answer = await broker.introspect(token)
            seen.add(answer.status_code)
            assert monotonic() - began < FAILOVER_SECONDS
        assert seen <= {200, 503}
        for replica in (broker, await start(**changes)):
            assert (await replica.introspect(token)).status_code == 204
        server.knows(token + "2", delegationId="new")
        assert (await broker.exchange(token + "2")).status_code == 200
    finally:
        cluster.discard()


async def test_an_operator_sees_the_delegations_of_all_nodes(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    redis.clear()
    names = {f"listed-{number}" for number in range(12)}
    for name in names:
        server.knows(f"{token}{name}", delegationId=name)
        assert (await broker.exchange(f"{token}{name}")).status_code == 200
    assert {one["id"] for one in await listed(broker, {"limit": 5})} == names
    assert (await end(broker, "listed-0")).status_code == 204
    assert {one["id"] for one in await listed(broker, {"limit": 5})} == names - {"listed-0"}
