"""How others learn that a delegation ended (RFC 8417, RFC 8935)."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from authserver.database import open_database
from authserver.event_delivery import SESSION_REVOKED, Backoff
from tests.authserver.server import ISSUER, AuthServer, serving

RECEIVER = {"url": "http://broker.test/events", "audience": "http://broker.test"}
OTHER = {"url": "http://other.test/events", "audience": "other"}
WAIT_SECONDS = 10

Answer = Callable[[httpx.Request], httpx.Response]


def accepted(_: httpx.Request) -> httpx.Response:
    return httpx.Response(202)


class Receiver:
    """Takes events the way it is told to, and lets a test wait for them."""

    def __init__(self, answer: Answer = accepted) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []
        self._more = asyncio.Condition()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        async with self._more:
            self.requests.append(request)
            self._more.notify_all()
        return self.answer(request)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    async def receive(self, count: int = 1) -> list[str]:
        async with asyncio.timeout(WAIT_SECONDS), self._more:
            await self._more.wait_for(lambda: len(self.requests) >= count)
        return [request.content.decode() for request in self.requests]


def announcing(
    directory: Path, receiver: Receiver, **changes: Any
) -> AbstractAsyncContextManager[AuthServer]:
    changes.setdefault("event_receivers", [RECEIVER])
    return serving(directory, transport=receiver.transport, backoff=Backoff(0.01, 0.02), **changes)


async def ended(server: AuthServer) -> str:
    """Have a delegation ended, by a code that is used twice; return its id."""
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    token = (await server.redeem(client_id, code)).json()["access_token"]
    delegation_id = (await server.introspect(token)).json()["delegationId"]
    await server.redeem(client_id, code)
    return delegation_id


async def waiting(server: AuthServer) -> int:
    async with open_database(server.state_files()[0]) as database:
        return len(await database.all("SELECT 1 FROM announcements"))


async def emptied(server: AuthServer) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        left = await waiting(server)
        while left:
            await asyncio.sleep(0.01)
            left = await waiting(server)


async def test_the_end_of_a_delegation_is_pushed_as_a_security_event_token(tmp_path: Path) -> None:
    receiver = Receiver()
    async with announcing(tmp_path, receiver) as server:
        delegation_id = await ended(server)
        (text,) = await receiver.receive()
        (request,) = receiver.requests
        assert str(request.url) == RECEIVER["url"]
        assert request.headers["content-type"] == "application/secevent+jwt"
        event = await server.verified(text)
        assert event.header["typ"] == "secevent+jwt"
        assert event.claims.pop("jti")
        assert event.claims == {
            "iss": ISSUER,
            "aud": RECEIVER["audience"],
            "iat": server.clock(),
            "sub_id": {"format": "opaque", "id": delegation_id},
            "events": {
                SESSION_REVOKED: {
                    "event_timestamp": server.clock(),
                    "initiating_entity": "system",
                    "reason_admin": {"en": "An authorization code was used twice"},
                }
            },
        }
        await emptied(server)


async def test_an_event_is_neither_an_access_token_nor_an_assertion(tmp_path: Path) -> None:
    receiver = Receiver()
    async with announcing(tmp_path, receiver) as server:
        await ended(server)
        (text,) = await receiver.receive()
        assert (await server.introspect(text)).json() == {"active": False}


async def test_every_receiver_is_told_under_its_own_name(tmp_path: Path) -> None:
    receiver = Receiver()
    async with announcing(tmp_path, receiver, event_receivers=[RECEIVER, OTHER]) as server:
        await ended(server)
        events = [await server.verified(text) for text in await receiver.receive(2)]
        assert {event.claims["aud"] for event in events} == {"http://broker.test", "other"}
        assert len({event.claims["jti"] for event in events}) == 2


async def test_a_delegation_that_ended_before_is_announced_once(tmp_path: Path) -> None:
    receiver = Receiver()
    async with announcing(tmp_path, receiver) as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id)
        for _ in range(4):
            await server.redeem(client_id, code)
        await receiver.receive()
        await emptied(server)
        assert len(receiver.requests) == 1


async def test_what_could_not_be_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    away = Receiver(lambda _: httpx.Response(503, headers={"retry-after": "5"}))
    async with announcing(tmp_path, away) as server:
        delegation_id = await ended(server)
        await away.receive()
        assert await waiting(server) == 1
    back = Receiver()
    async with announcing(tmp_path, back) as server:
        (text,) = await back.receive()
        event = await server.verified(text)
        assert event.claims["sub_id"]["id"] == delegation_id
        await emptied(server)


async def test_an_event_nobody_takes_is_given_up_when_its_tokens_have_expired(tmp_path: Path) -> None:
    away = Receiver(lambda _: httpx.Response(503))
    async with announcing(tmp_path, away) as server:
        await ended(server)
        await away.receive()
        clock = server.clock
    clock.seconds += 3601
    async with announcing(tmp_path, away, clock=clock) as server:
        await emptied(server)


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def refused(code: str) -> Answer:
    return lambda _: httpx.Response(400, content=json.dumps({"err": code, "description": "no"}))


def status(code: int, **headers: str) -> Answer:
    return lambda _: httpx.Response(code, headers=headers)


@pytest.mark.parametrize(
    "trouble",
    [
        unreachable,
        status(503),
        status(404),
        status(400),
        status(302, location="http://elsewhere.test"),
        refused("invalid_key"),
    ],
)
async def test_what_may_be_better_later_is_tried_again_as_the_same_event(
    tmp_path: Path, trouble: Answer
) -> None:
    receiver = Receiver()

    def third_time_lucky(request: httpx.Request) -> httpx.Response:
        return (trouble if len(receiver.requests) < 3 else accepted)(request)

    receiver.answer = third_time_lucky
    async with announcing(tmp_path, receiver) as server:
        await ended(server)
        texts = await receiver.receive(3)
        await emptied(server)
        assert len({(await server.verified(text)).claims["jti"] for text in texts}) == 1


@pytest.mark.parametrize("code", ["invalid_request", "invalid_audience", "invalid_issuer"])
async def test_what_is_refused_for_good_is_not_sent_again(tmp_path: Path, code: str) -> None:
    receiver = Receiver(refused(code))
    async with announcing(tmp_path, receiver) as server:
        await ended(server)
        await receiver.receive()
        await emptied(server)
        assert len(receiver.requests) == 1


def test_pauses_grow_to_a_bound_and_are_never_all_alike() -> None:
    backoff = Backoff(first_seconds=1, most_seconds=60)
    for failures, longest in ((1, 1), (2, 2), (4, 8), (10, 60), (10_000, 60)):
        delays = [backoff.delay(failures) for _ in range(20)]
        assert all(longest / 2 <= delay <= longest for delay in delays)
        assert len(set(delays)) > 1
