"""A gateway that hears of revocations, over a real Redis."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from pydantic import SecretStr

from authcore.clock import monotonic
from authcore.events import DelegationRevoked, Heartbeat
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import Gateway, running
from tests.support.eventually import eventually
from tests.support.issuer import Clock
from tests.support.redis_contents import RedisContents, opened
from tests.support.redis_server import RedisServer

TOOL = "fetch-stock-prices"
DEAF_AFTER_SECONDS = 1.0


@pytest.fixture
async def gateway(settings: Settings, clock: Clock, redis_url: str) -> AsyncGenerator[Gateway]:
    heard = settings.model_copy(
        update={"redis_url": SecretStr(redis_url), "deaf_after_seconds": DEAF_AFTER_SECONDS}
    )
    async with running(heard, clock) as gateway:
        yield gateway


async def asked(gateway: Gateway, token: str = "john") -> bool:
    """Whether a good call had to ask the broker."""
    before = gateway.network.broker.introspections
    assert (await gateway.call(TOOL, token=token)).status_code == 200
    return gateway.network.broker.introspections > before


async def remembers(gateway: Gateway, redis: RedisContents) -> None:
    """Return when the gateway hears heartbeats and uses its memory."""
    async with asyncio.timeout(10):
        while await asked(gateway):
            redis.add_entry(**Heartbeat(1).to_fields())
            await asyncio.sleep(0)


def revoke(redis: RedisContents, delegation: str) -> None:
    redis.add_entry(**DelegationRevoked(delegation, 1).to_fields())


async def heard(redis: RedisContents) -> None:
    """Return when the gateway has read the stream to its end: it waits for more."""
    await eventually(lambda: redis.waiting() == 1)


def is_refused(response: httpx.Response) -> bool:
    return response.status_code == 401 and 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_token_is_remembered_for_as_long_as_its_end_would_be_heard_of(
    gateway: Gateway, redis: RedisContents
) -> None:
    await remembers(gateway, redis)
    gateway.network.clock.seconds += 290
    assert not await asked(gateway)
    assert gateway.network.broker.exchanges <= gateway.network.broker.introspections


async def test_a_revoked_delegation_is_dropped_and_every_other_stays(
    gateway: Gateway, redis: RedisContents
) -> None:
    await remembers(gateway, redis)
    await asked(gateway, "jane")
    del gateway.network.broker.tokens["john"]
    revoke(redis, "d-john")
    async with asyncio.timeout(10):
        while not is_refused(await gateway.call(TOOL)):
            pass
    assert not await asked(gateway, "jane")


async def test_without_heartbeats_the_broker_is_asked_every_time(
    gateway: Gateway, redis: RedisContents
) -> None:
    await remembers(gateway, redis)
    async with asyncio.timeout(10):
        while not await asked(gateway):
            pass
    assert await asked(gateway)
    await remembers(gateway, redis)


async def test_with_the_stream_cut_a_revoked_token_passes_no_longer_than_the_heartbeat_may_be_missing(
    settings: Settings, clock: Clock, own_redis: RedisServer
) -> None:
    url = SecretStr(own_redis.url)
    heard = settings.model_copy(update={"redis_url": url, "deaf_after_seconds": DEAF_AFTER_SECONDS})
    async with running(heard, clock) as gateway:
        with opened(own_redis.url) as redis:
            await remembers(gateway, redis)
        own_redis.freeze()
        cut = monotonic()
        del gateway.network.broker.tokens["john"]
        last_accepted = cut
        async with asyncio.timeout(10):
            while not is_refused(await gateway.call(TOOL)):
                last_accepted = monotonic()
        own_redis.thaw()
        assert last_accepted - cut < DEAF_AFTER_SECONDS + 0.5


@pytest.mark.parametrize("host", ["api.test", "broker.test"])
@pytest.mark.parametrize("form", ["opaque", "jwt"])
async def test_the_result_of_a_call_whose_delegation_is_revoked_meanwhile_does_not_leave(
    gateway: Gateway, redis: RedisContents, host: str, form: str
) -> None:
    tokens = gateway.network.broker.tokens
    token = "john" if form == "opaque" else gateway.network.issuer.sign(delegationId="d-john")
    tokens[token] = tokens["john"]
    purged = asyncio.Event()

    async def revoked_meanwhile(request: httpx.Request) -> None:
        if request.url.host == host and not purged.is_set():
            revoke(redis, "d-john")
            await heard(redis)
            purged.set()

    await heard(redis)
    gateway.network.before_answer = revoked_meanwhile
    response = await gateway.call(TOOL, token=token)
    assert purged.is_set()
    assert is_refused(response)
    assert "COM1" not in response.text


async def test_an_answer_of_the_broker_that_its_revocation_has_overtaken_is_not_remembered(
    gateway: Gateway, redis: RedisContents
) -> None:
    await remembers(gateway, redis)

    async def revoked_meanwhile(request: httpx.Request) -> None:
        gateway.network.before_answer = None
        revoke(redis, "d-jane")
        await heard(redis)

    gateway.network.before_answer = revoked_meanwhile
    assert is_refused(await gateway.call(TOOL, token="jane"))
    introspections = gateway.network.broker.introspections
    assert is_refused(await gateway.call(TOOL, token="jane"))
    assert gateway.network.broker.introspections == introspections + 1
