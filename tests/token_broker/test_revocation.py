"""The ways to end a delegation, and that everybody comes to know."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from authcore.clock import system_milliseconds
from authcore.errors import TemporarilyUnavailable
from authcore.redis_client import connect
from authcore.security_events import SESSION_REVOKED
from tests.support.eventually import eventually
from tests.support.forgery import signed
from tests.support.issuer import ISSUER, NOW, ec_key
from tests.support.redis_contents import RedisContents, opened
from tests.support.redis_server import RedisServer
from tests.token_broker.conftest import GATEWAY_KEY, OPERATOR_KEY, OTHER_KEY, URL, Broker, Start, soon
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker.announcements import Announcements
from token_broker.delegations import DelegationStore
from token_broker.revocation import Revocation
from token_broker.settings import Settings


def event(server: FakeAuthorizationServer, delegation: str, **changes: Any) -> str:
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": URL,
        "iat": NOW,
        "jti": secrets.token_urlsafe(8),
        "sub_id": {"format": "opaque", "id": delegation},
        "events": {SESSION_REVOKED: {"event_timestamp": NOW, "initiating_entity": "user"}},
    }
    return signed(server.issuer, {"typ": "secevent+jwt"}, claims | changes)


async def push(broker: Broker, token: str, media_type: str = "application/secevent+jwt") -> httpx.Response:
    return await broker.http.post("/events", content=token, headers={"content-type": media_type})


async def revoke(broker: Broker, token: str, credentials: dict[str, str] | None = None) -> httpx.Response:
    return await broker.http.post("/revoke", data={"token": token} | (credentials or broker.assertion()))


async def end(
    broker: Broker, delegation: str, client_id: str = "operator", key: ECKey = OPERATOR_KEY
) -> httpx.Response:
    assertion = broker.assertion(client_id, key)
    headers = {"authorization": "Bearer " + assertion["client_assertion"]}
    return await broker.http.delete(f"/delegations/{delegation}", headers=headers)


@pytest.fixture
async def living(broker: Broker, server: FakeAuthorizationServer, token: str, delegation: str) -> str:
    """A delegation with a phantom and an exchanged token in Redis."""
    server.knows(token, delegationId=delegation)
    assert (await broker.exchange(token)).status_code == 200
    return delegation


async def ended(start: Start, server: FakeAuthorizationServer, token: str) -> None:
    """No replica gives anything out for the token, though the authorization server would."""
    asked = (server.introspections, server.exchanges)
    for replica in (await start(), await start()):
        assert (await replica.introspect(token)).status_code == 204
        assert (await replica.exchange(token)).json()["error"] == "invalid_grant"
    assert (server.introspections, server.exchanges) == asked


async def test_a_caller_ends_the_delegation_of_a_token_it_holds(
    start: Start,
    broker: Broker,
    server: FakeAuthorizationServer,
    redis: RedisContents,
    living: str,
    token: str,
) -> None:
    response = await revoke(broker, token)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["cache-control"] == "no-store"
    assert (redis.announced(), redis.pending(), redis.delegations()) == ([living], [], [])
    await ended(start, server, token)


async def test_all_tokens_of_the_delegation_die_together(
    broker: Broker, server: FakeAuthorizationServer, living: str, token: str
) -> None:
    server.knows(token + "2", delegationId=living)
    assert (await broker.exchange(token + "2")).status_code == 200
    await revoke(broker, token)
    assert (await broker.introspect(token + "2")).status_code == 204


async def test_an_unknown_token_is_answered_like_any_other_and_nothing_is_announced(
    broker: Broker, redis: RedisContents, token: str
) -> None:
    response = await revoke(broker, token)
    assert (response.status_code, response.content) == (200, b"")
    assert redis.announced() == []


async def test_a_token_for_somebody_elses_resource_is_not_the_callers_to_revoke(
    broker: Broker, redis: RedisContents, living: str, token: str
) -> None:
    response = await revoke(broker, token, broker.assertion("other", OTHER_KEY))
    assert (response.status_code, redis.announced()) == (200, [])
    assert (await broker.introspect(token)).status_code == 200


async def test_revoking_needs_a_client(broker: Broker, redis: RedisContents, living: str, token: str) -> None:
    response = await revoke(broker, token, {"client_id": "mcp-gateway"})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert redis.announced() == []


async def test_a_token_that_nobody_can_look_up_is_not_said_to_be_revoked(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.on_introspect = lambda: httpx.Response(500)
    assert (await revoke(broker, token)).status_code == 503


async def test_a_pushed_event_ends_the_delegation(
    start: Start,
    broker: Broker,
    server: FakeAuthorizationServer,
    redis: RedisContents,
    living: str,
    token: str,
) -> None:
    response = await push(broker, event(server, living))
    assert (response.status_code, response.content) == (202, b"")
    assert redis.announced() == [living]
    await ended(start, server, token)


async def test_an_event_that_comes_twice_is_accepted_and_done_once(
    start: Start, broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, living: str
) -> None:
    sent = event(server, living)
    assert [(await push(each, sent)).status_code for each in (broker, await start())] == [202, 202]
    assert redis.announced() == [living]


async def test_an_event_about_a_delegation_nobody_has_seen_yet_still_counts(
    broker: Broker, server: FakeAuthorizationServer, token: str, delegation: str
) -> None:
    assert (await push(broker, event(server, delegation))).status_code == 202
    server.knows(token, delegationId=delegation)
    assert (await broker.introspect(token)).status_code == 204


async def test_an_event_that_is_not_acceptable_is_refused_with_its_code(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, living: str
) -> None:
    for sent, err in (
        (event(server, living, aud="https://other.test"), "invalid_audience"),
        (event(server, living, iss="https://evil.test"), "invalid_issuer"),
        (server.issuer.sign(delegationId=living), "invalid_request"),
        ("garbage", "invalid_request"),
    ):
        response = await push(broker, sent)
        assert (response.status_code, response.json()["err"]) == (400, err)
        assert response.json()["description"]
    response = await push(broker, event(server, living), "application/jwt")
    assert (response.status_code, response.json()["err"]) == (400, "invalid_request")
    assert redis.announced() == []


async def test_an_event_whose_signer_cannot_be_looked_up_has_to_be_sent_again(
    start: Start, server: FakeAuthorizationServer, delegation: str
) -> None:
    server.issuer.fail = lambda: httpx.Response(500)
    response = await push(await start(), event(server, delegation))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


async def test_an_operator_ends_a_delegation_by_its_id(
    start: Start,
    broker: Broker,
    server: FakeAuthorizationServer,
    redis: RedisContents,
    living: str,
    token: str,
) -> None:
    response = await end(broker, living)
    assert (response.status_code, response.content) == (204, b"")
    assert redis.announced() == [living]
    await ended(start, server, token)


async def test_an_operator_may_name_a_delegation_as_the_server_does_or_as_it_is_listed(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    server.knows(token, delegationId="session 7 / äöü")
    assert (await broker.introspect(token)).status_code == 200
    tag = redis.delegations()[0].removeprefix("{d:").removesuffix("}:tokens")
    assert tag.startswith("sha256:")
    await end(broker, "session 7 / äöü")
    await end(broker, tag)
    assert redis.announced() == [tag, tag]


async def test_who_is_not_an_operator_ends_nothing(broker: Broker, redis: RedisContents, living: str) -> None:
    refused = await end(broker, living, client_id="mcp-gateway", key=GATEWAY_KEY)
    assert (refused.status_code, refused.json()["error"]) == (403, "access_denied")
    forged = await end(broker, living, key=ec_key("operator"))
    assert (forged.status_code, forged.json()["error"]) == (401, "invalid_client")
    assert forged.headers["www-authenticate"] == 'Bearer realm="token broker"'
    nobody = await broker.http.delete(f"/delegations/{living}")
    assert (nobody.status_code, nobody.json()["error"]) == (401, "invalid_client")
    assert nobody.headers["www-authenticate"] == 'Bearer realm="token broker"'
    assert redis.announced() == []


async def test_an_operators_assertion_is_good_once(broker: Broker, living: str) -> None:
    assertion = broker.assertion("operator", OPERATOR_KEY)["client_assertion"]
    headers = {"authorization": f"Bearer {assertion}"}
    answers = [await broker.http.delete(f"/delegations/{living}", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 401]


async def test_an_operator_without_a_resource_gets_no_tokens(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    operator = broker.assertion("operator", OPERATOR_KEY)
    assert (await broker.introspect(token, credentials=operator)).status_code == 204


@pytest.fixture
async def crashing(settings: Settings) -> AsyncGenerator[Announcements]:
    """A replica that can be made to crash between the steps of a revocation."""
    redis = connect(settings.redis_url.get_secret_value(), timeout_seconds=5, max_connections=2)
    yield Announcements(redis, now=system_milliseconds, heartbeat_seconds=1)
    await redis.aclose()


@pytest.mark.parametrize("steps", [1, 2])
async def test_a_revocation_whose_replica_crashed_in_the_middle_is_finished_by_another(
    crashing: Announcements,
    store: DelegationStore,
    start: Start,
    server: FakeAuthorizationServer,
    redis: RedisContents,
    token: str,
    delegation: str,
    steps: int,
) -> None:
    replica = await start(heartbeat_seconds=0.05)
    server.knows(token, delegationId=delegation)
    assert (await replica.exchange(token)).status_code == 200
    await crashing.intend(delegation)
    if steps == 2:
        await store.revoke(delegation)
    assert redis.pending() == [delegation]
    await eventually(lambda: redis.announced() == [delegation] and redis.pending() == [])
    assert (await replica.introspect(token)).status_code == 204


async def test_a_revocation_under_way_is_left_to_whoever_began_it(
    crashing: Announcements, redis: RedisContents, delegation: str
) -> None:
    await crashing.intend(delegation)
    assert await crashing.beat() == []
    assert redis.pending() == [delegation]


async def test_of_many_replicas_one_sends_the_heartbeat(
    crashing: Announcements, redis: RedisContents
) -> None:
    await asyncio.gather(*(crashing.beat() for _ in range(8)))
    assert redis.entries() == 1


async def test_heartbeats_go_on_after_redis_was_away(own_redis: RedisServer, store: DelegationStore) -> None:
    connection = connect(own_redis.url, timeout_seconds=0.5, max_connections=2)
    announcements = Announcements(connection, now=system_milliseconds, heartbeat_seconds=0.05)
    beating = asyncio.create_task(Revocation(store, announcements, heartbeat_seconds=0.05).keep_announcing())
    await asyncio.to_thread(own_redis.stop)
    with pytest.raises(TemporarilyUnavailable):
        await announcements.beat()
    await asyncio.to_thread(own_redis.start)
    with opened(own_redis.url) as contents:
        await eventually(lambda: contents.entries() > 1)
    beating.cancel()
    await asyncio.wait([beating])
    await connection.aclose()


async def test_nobody_joins_a_look_up_that_began_before_the_revocation(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, living: str, token: str
) -> None:
    server.asked.clear()
    server.may_answer.clear()
    exchange = asyncio.create_task(broker.exchange(token, audience="https://reports.demo.example"))
    await soon(server.asked)
    await end(broker, living)
    late = asyncio.create_task(broker.exchange(token, audience="https://reports.demo.example"))
    assert (await late).json()["error"] == "invalid_grant"
    server.may_answer.set()
    assert (await exchange).json()["error"] == "invalid_grant"
    assert redis.delegations() == []
