"""A master behind Sentinels dies or hangs: its replica takes over, and no confirmed revocation is lost."""

from collections.abc import Generator

import pytest
from pydantic import SecretStr

from authcore.clock import monotonic
from authcore.delegation_feed import DelegationFeed
from tests.support.eventually import eventually
from tests.support.redis_sentinels import Watched
from tests.token_broker.conftest import Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from tests.token_broker.test_revocation import end

BOUND_SECONDS = 20.0
"""Sentinels take half a second to be sure and two to act; the rest is for a busy machine."""
CALL_SECONDS = 4.0


@pytest.fixture
def watched() -> Generator[Watched]:
    watched = Watched()
    try:
        watched.form()
        yield watched
    finally:
        watched.discard()


@pytest.fixture
def settings_changes(watched: Watched) -> dict[str, object]:
    return {
        "redis_url": SecretStr(watched.url),
        "redis_timeout_seconds": 0.5,
        "redis_revocation_replicas": 1,
    }


async def recovers(broker: Broker, token: str) -> float:
    """Return after how many seconds a known token is served again; until then answers are 503, in time."""
    began = monotonic()
    while True:
        asked = monotonic()
        response = await broker.exchange(token)
        assert monotonic() - asked < CALL_SECONDS
        if response.status_code == 200:
            return monotonic() - began
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert monotonic() - began < BOUND_SECONDS


@pytest.mark.parametrize("how", ["dies", "hangs"])
async def test_calls_recover_with_the_new_master_and_what_was_revoked_stays_revoked(
    start: Start,
    server: FakeAuthorizationServer,
    watched: Watched,
    settings_changes: dict[str, object],
    token: str,
    how: str,
) -> None:
    broker = await start(**settings_changes)
    for name in ("kept", "ended"):
        server.knows(token + name, delegationId=name)
        assert (await broker.exchange(token + name)).status_code == 200
    assert (await end(broker, "ended")).status_code == 204
    asked = (server.introspections, server.exchanges)
    old = watched.master()
    old.kill() if how == "dies" else old.freeze()
    await recovers(broker, token + "kept")
    assert watched.master() is not old
    if how == "hangs":
        old.thaw()
    feed = DelegationFeed(deaf_after_seconds=3)
    async with feed.listening(watched.url):
        await eventually(lambda: feed.hearing, within_seconds=BOUND_SECONDS)
    # A replica of the broker that begins now knows only what the new master knows.
    for replica in (broker, await start(**settings_changes)):
        assert (await replica.exchange(token + "ended")).json()["error"] == "invalid_grant"
        assert (await replica.exchange(token + "kept")).status_code == 200
    assert (server.introspections, server.exchanges) == asked


async def test_a_revocation_that_no_replica_has_is_not_confirmed(
    start: Start,
    server: FakeAuthorizationServer,
    watched: Watched,
    settings_changes: dict[str, object],
    token: str,
) -> None:
    broker = await start(**settings_changes)
    server.knows(token, delegationId="d1")
    assert (await broker.exchange(token)).status_code == 200
    replica = next(node for node in watched.nodes if node is not watched.master())
    replica.freeze()
    response = await end(broker, "d1")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    replica.thaw()
    began = monotonic()
    while (await end(broker, "d1")).status_code != 204:
        assert monotonic() - began < BOUND_SECONDS
    assert (await broker.exchange(token)).json()["error"] == "invalid_grant"
