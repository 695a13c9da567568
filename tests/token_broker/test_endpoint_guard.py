import asyncio
from dataclasses import dataclass

import httpx
import pytest

from authcore.errors import TemporarilyUnavailable
from tests.token_broker.conftest import Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer, jwt_response
from token_broker.endpoint_guard import FAILURES_TO_OPEN, OPEN_SECONDS, EndpointGuard


@dataclass
class Seconds:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def guard(seconds: Seconds) -> EndpointGuard:
    return EndpointGuard("the endpoint", max_concurrent=2, clock=seconds)


async def succeed(guard: EndpointGuard) -> None:
    async with guard.attempt():
        pass


async def fail(guard: EndpointGuard) -> None:
    async with guard.attempt() as attempt:
        attempt.failed = True


async def broken(guard: EndpointGuard) -> None:
    for _ in range(FAILURES_TO_OPEN):
        await fail(guard)


async def test_after_some_failures_in_a_row_nobody_asks_and_everybody_is_told_when_to_return(
    guard: EndpointGuard, seconds: Seconds
) -> None:
    await broken(guard)
    seconds.now += 2
    with pytest.raises(TemporarilyUnavailable) as refused:
        await succeed(guard)
    assert refused.value.retry_after_seconds == 3


async def test_failures_with_successes_between_them_open_nothing(guard: EndpointGuard) -> None:
    for _ in range(FAILURES_TO_OPEN):
        for _ in range(FAILURES_TO_OPEN - 1):
            await fail(guard)
        await succeed(guard)


async def test_after_a_while_one_tries_and_if_that_is_well_all_may(
    guard: EndpointGuard, seconds: Seconds
) -> None:
    await broken(guard)
    seconds.now += OPEN_SECONDS
    async with guard.attempt():
        with pytest.raises(TemporarilyUnavailable):
            await succeed(guard)
    await asyncio.gather(succeed(guard), succeed(guard))


async def test_if_the_one_fails_it_is_left_alone_again(guard: EndpointGuard, seconds: Seconds) -> None:
    await broken(guard)
    seconds.now += OPEN_SECONDS
    await fail(guard)
    with pytest.raises(TemporarilyUnavailable):
        await succeed(guard)
    seconds.now += OPEN_SECONDS
    await succeed(guard)


async def test_a_request_that_was_cut_off_counts_as_a_failure(guard: EndpointGuard) -> None:
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), guard.attempt():
                await asyncio.Event().wait()
    with pytest.raises(TemporarilyUnavailable):
        await succeed(guard)


async def test_only_so_many_wait_for_a_slow_endpoint(guard: EndpointGuard) -> None:
    async with guard.attempt(), guard.attempt():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await succeed(guard)
    await succeed(guard)


async def test_a_failing_token_endpoint_is_left_alone_while_introspection_goes_on(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.on_exchange = lambda: httpx.Response(500)
    for number in range(FAILURES_TO_OPEN + 3):
        server.knows(f"{token}{number}", jti=f"jti-{number}", delegationId=f"d{number}")
        response = await broker.exchange(f"{token}{number}")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
    assert server.exchanges == FAILURES_TO_OPEN
    assert server.introspections == FAILURES_TO_OPEN + 3


def dropped() -> httpx.Response:
    raise httpx.ConnectError("refused")


async def test_an_introspection_that_found_nobody_is_repeated_once_and_an_exchange_is_not(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    answers = iter([dropped])
    server.on_introspect = lambda: next(answers, lambda: jwt_response(server.phantom(token)))()
    server.on_exchange = dropped
    assert (await broker.exchange(token)).status_code == 503
    assert (server.introspections, server.exchanges) == (2, 1)


async def test_an_introspection_that_was_heard_is_not_repeated(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    def broken_off() -> httpx.Response:
        raise httpx.ReadError("reset")

    server.on_introspect = broken_off
    assert (await broker.introspect(token)).status_code == 503
    assert server.introspections == 1


async def test_what_another_replica_has_learnt_of_a_token_counts_more_than_that_it_was_inactive(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    one, other = await start(), await start()
    assert (await one.introspect(token)).status_code == 204
    server.knows(token)
    assert (await one.introspect(token)).status_code == 204
    assert (await other.introspect(token)).status_code == 200
    assert (await one.introspect(token)).status_code == 200
    assert server.introspections == 2
