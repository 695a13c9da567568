"""Two replicas' flights on one real Redis."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from authcore.errors import InvalidGrant, InvalidToken, OAuthError, TemporarilyUnavailable
from authcore.redis_client import connect
from tests.support.eventually import eventually
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import soon
from token_broker.landings import Landing, Landings
from token_broker.sealing import fingerprint
from token_broker.single_flight import Flights, ReplicaLocks

NAME = "work"
DEADLINE_SECONDS = 1.0


@dataclass
class Place:
    """Where results are kept, for all replicas."""

    result: str | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def recall(self) -> str | None:
        self.asked.set()
        return self.result


class Worker:
    """Work that ends when and as it is told."""

    def __init__(self, place: Place, ends: Callable[[], str]) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self._place, self._ends = place, ends

    async def __call__(self) -> str:
        self.begun.set()
        await self.may_end.wait()
        self._place.result = self._ends()
        return self._place.result


async def nothing_to_do() -> str:
    raise AssertionError("somebody else does it")


def refused(error: OAuthError) -> Callable[[], str]:
    def end() -> str:
        raise error

    return end


Start = Callable[[], Awaitable[tuple[ReplicaLocks, Flights[str]]]]


@pytest.fixture
async def replica(redis_url: str, redis: RedisContents) -> AsyncGenerator[Start]:
    async with AsyncExitStack() as stack:

        async def start() -> tuple[ReplicaLocks, Flights[str]]:
            # One connection: what is asked later is answered later.
            connection = connect(redis_url, timeout_seconds=5, max_connections=1)
            stack.push_async_callback(connection.aclose)
            locks = ReplicaLocks(connection, deadline_seconds=DEADLINE_SECONDS)
            waiting = redis.waiting()
            await stack.enter_async_context(locks.listening(redis_url))
            await eventually(lambda: redis.waiting() == waiting + 1)
            return locks, Flights[str](locks)

        yield start


async def joined(locks: ReplicaLocks, place: Place) -> None:
    """Return when a flight of these locks that has just begun has found out who is working."""
    await soon(place.asked)
    await locks.take(fingerprint(NAME), "somebody who asks after it")


async def test_a_waiter_gets_the_leaders_result(replica: Start) -> None:
    (_, one), (locks, other) = await replica(), await replica()
    place = Place()
    work = Worker(place, lambda: "done")
    leading = asyncio.create_task(one.run(NAME, place.recall, work))
    await soon(work.begun)
    place.asked.clear()
    waiting = asyncio.create_task(other.run(NAME, place.recall, nothing_to_do))
    await joined(locks, place)
    work.may_end.set()
    assert [await leading, await waiting] == ["done", "done"]


async def test_a_waiter_gets_the_leaders_error_and_does_not_try_itself(replica: Start) -> None:
    (_, one), (locks, other) = await replica(), await replica()
    place = Place()
    work = Worker(place, refused(TemporarilyUnavailable("Not now", retry_after_seconds=7)))
    leading = asyncio.create_task(one.run(NAME, place.recall, work))
    await soon(work.begun)
    place.asked.clear()
    waiting = asyncio.create_task(other.run(NAME, place.recall, nothing_to_do))
    await joined(locks, place)
    work.may_end.set()
    for task in (leading, waiting):
        with pytest.raises(TemporarilyUnavailable, match="temporarily_unavailable") as error:
            await task
        assert (error.value.description, error.value.retry_after_seconds) == ("Not now", 7)


async def test_a_leader_that_fails_for_reasons_of_its_own_leaves_the_work_to_others(replica: Start) -> None:
    (_, one), (locks, other) = await replica(), await replica()
    place = Place()

    def broken() -> str:
        raise ZeroDivisionError

    work, second = Worker(place, broken), Worker(place, lambda: "done")
    second.may_end.set()
    leading = asyncio.create_task(one.run(NAME, place.recall, work))
    await soon(work.begun)
    place.asked.clear()
    waiting = asyncio.create_task(other.run(NAME, place.recall, second))
    await joined(locks, place)
    work.may_end.set()
    with pytest.raises(ZeroDivisionError):
        await leading
    assert await waiting == "done"


async def test_a_leader_that_crashed_is_waited_for_until_its_lock_expires_and_no_longer(
    replica: Start,
) -> None:
    (crashed, _), (_, other) = await replica(), await replica()
    await crashed.take(fingerprint(NAME), "the crashed one")
    place = Place()
    work = Worker(place, lambda: "done")
    work.may_end.set()
    async with asyncio.timeout(5 * DEADLINE_SECONDS):
        assert await other.run(NAME, place.recall, work) == "done"


async def test_who_lands_after_its_deadline_frees_nobodys_lock_and_wakes_nobody(replica: Start) -> None:
    locks, _ = await replica()
    await locks.take("flight", "new")
    await locks.land(Landing("flight", "late", InvalidGrant("dead")))
    holder, seconds = await locks.take("flight", "another")
    assert holder == "new"
    assert 0 < seconds <= DEADLINE_SECONDS
    assert await locks.landed("flight", "late", seconds=0.05) is None


async def test_a_landing_that_comes_before_its_waiter_is_not_missed(
    replica: Start, redis: RedisContents
) -> None:
    locks, _ = await replica()
    await locks.take("flight", "owner")
    landing = Landing("flight", "owner")
    await locks.land(landing)
    await eventually(lambda: redis.waiting() == 1)
    assert await locks.landed("flight", "owner", seconds=0) == landing


async def test_when_landings_may_have_been_missed_everybody_looks_again() -> None:
    landings = Landings()
    waiting = asyncio.create_task(landings.wait("flight", "owner", seconds=60))
    await asyncio.sleep(0)
    landings.on_gap()
    assert await waiting is None


@pytest.mark.parametrize(
    "landing",
    [
        Landing("f", "o"),
        Landing("f", "o", finished=False),
        Landing("f", "o", InvalidToken("The token is not active")),
        Landing("f", "o", InvalidGrant("ä")),
        Landing("f", "o", TemporarilyUnavailable(retry_after_seconds=9)),
    ],
    ids=["kept", "gone", "inactive", "refused", "unavailable"],
)
def test_a_landing_says_the_same_at_the_other_end(landing: Landing) -> None:
    sent = landing.to_fields()
    assert Landing.from_fields(encoded(sent)).to_fields() == sent


def test_an_outcome_that_is_not_known_is_for_everybody_to_try_itself() -> None:
    fields = Landing("f", "o").to_fields() | {"outcome": "tomorrow's"}
    assert not Landing.from_fields(encoded(fields)).finished


def encoded(fields: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in fields.items()}
