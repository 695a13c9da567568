"""Listening to revocations over a real Redis, with outages."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from authcore.delegation_feed import DelegationFeed
from authcore.events import DELEGATIONS, DelegationRevoked, Heartbeat, event_from_fields
from tests.support.eventually import eventually
from tests.support.redis_contents import RedisContents, opened
from tests.support.redis_server import RedisServer

NEVER = 3600.0


@dataclass
class Seconds:
    """A monotonic clock that goes on only when told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Memory:
    """Somebody who remembers something of delegations."""

    dropped: list[str] = field(default_factory=list[str])
    gaps: int = 0

    def gap(self) -> None:
        self.gaps += 1


@dataclass
class Listener:
    feed: DelegationFeed
    memory: Memory
    clock: Seconds


@asynccontextmanager
async def listener(url: str, *, deaf_after_seconds: float = 3.0) -> AsyncGenerator[Listener]:
    """A feed that has taken up its position in the stream."""
    with opened(url) as redis:
        # To a reader that began with an empty stream, its first entry looks as if others had gone before.
        redis.add_entry(**Heartbeat(1).to_fields())
    clock, memory = Seconds(), Memory()
    feed = DelegationFeed(deaf_after_seconds=deaf_after_seconds, clock=clock, max_remembered=3)
    feed.tell(on_revoked=memory.dropped.append, on_gap=memory.gap)
    async with feed.listening(url):
        await eventually(lambda: memory.gaps == 1)
        yield Listener(feed, memory, clock)


async def heard(listener: Listener, redis: RedisContents) -> None:
    """Return when heartbeats sent now arrive. One is not enough: it may answer a question from before."""

    def beat() -> bool:
        redis.add_entry(**Heartbeat(1).to_fields())
        return listener.feed.hearing

    await eventually(beat)


def revoked(delegation: str) -> dict[str, str]:
    return DelegationRevoked(delegation, 1).to_fields()


async def test_a_process_is_deaf_until_it_has_heard_something(redis: RedisContents, redis_url: str) -> None:
    async with listener(redis_url) as one:
        assert not one.feed.hearing
        await heard(one, redis)


async def test_a_process_goes_deaf_when_heartbeats_fail_to_come(redis: RedisContents, redis_url: str) -> None:
    async with listener(redis_url) as one:
        await heard(one, redis)
        one.clock.now += 2.9
        assert one.feed.hearing
        one.clock.now += 0.1
        assert not one.feed.hearing
        await heard(one, redis)
        assert one.memory.gaps == 1


async def test_a_revocation_reaches_every_listener(redis: RedisContents, redis_url: str) -> None:
    async with listener(redis_url) as one, listener(redis_url) as other:
        redis.add_entry(**revoked("d1"))
        for each in (one, other):
            await eventually(lambda each=each: each.memory.dropped == ["d1"])
            assert each.feed.is_revoked("d1")
            assert not each.feed.is_revoked("d2")
            assert not each.feed.is_revoked(None)


async def test_what_was_announced_before_this_process_began_is_not_repeated(
    redis: RedisContents, redis_url: str
) -> None:
    redis.add_entry(**revoked("old"))
    async with listener(redis_url) as one:
        redis.add_entry(**revoked("new"))
        await eventually(lambda: one.memory.dropped == ["new"])


async def test_after_an_outage_nothing_that_was_announced_meanwhile_is_missing(
    own_redis: RedisServer,
) -> None:
    with opened(own_redis.url) as redis:
        async with listener(own_redis.url) as one:
            await heard(one, redis)
            redis.disconnect_others()
            for number in range(1200):
                redis.add_entry(**revoked(f"d{number}"))
            await eventually(lambda: len(one.memory.dropped) == 1200)
            assert one.memory.dropped == [f"d{number}" for number in range(1200)]


async def test_after_an_outage_memory_is_dropped_for_a_replica_that_took_over_may_lack_the_last_entries(
    own_redis: RedisServer,
) -> None:
    with opened(own_redis.url) as redis:
        async with listener(own_redis.url) as one:
            await heard(one, redis)
            ticket = one.feed.ticket
            redis.disconnect_others()
            redis.add_entry(**Heartbeat(1).to_fields())
            await eventually(lambda: one.memory.gaps == 2)
            assert not one.feed.may_keep("anything", ticket)


async def test_who_was_away_too_long_drops_everything(redis: RedisContents, redis_url: str) -> None:
    async with listener(redis_url) as one:
        await heard(one, redis)
        await eventually(lambda: redis.waiting() == 1)
        ticket = one.feed.ticket
        one.clock.now += 10
        with redis.at_once():
            redis.add_entry(**revoked("lost"))
            redis.add_entry(**revoked("kept"))
            redis.trim(1)
        await eventually(lambda: one.memory.dropped == ["kept"])
        assert one.memory.gaps == 2
        assert not one.feed.may_keep("anything", ticket)
        assert one.feed.may_keep("anything", one.feed.ticket)


async def test_another_stream_in_its_place_is_noticed(redis: RedisContents, redis_url: str) -> None:
    async with listener(redis_url) as one:
        await heard(one, redis)
        redis.drop(DELEGATIONS)
        one.clock.now += 10
        await eventually(lambda: one.memory.gaps == 2)
        await heard(one, redis)
        redis.add_entry(**revoked("d1"))
        await eventually(lambda: one.memory.dropped == ["d1"])


async def test_an_announcement_that_cannot_be_read_may_have_been_about_anybody(
    redis: RedisContents, redis_url: str
) -> None:
    async with listener(redis_url) as one:
        redis.add_entry(type="revoked", at="1")
        await eventually(lambda: one.memory.gaps == 2)
        redis.add_entry(type="tomorrow's news")
        redis.add_entry(**revoked("d1"))
        await eventually(lambda: one.memory.dropped == ["d1"])
        assert one.memory.gaps == 2


async def test_without_redis_a_process_is_deaf_and_afterwards_it_is_not(own_redis: RedisServer) -> None:
    async with listener(own_redis.url) as one:
        with opened(own_redis.url) as redis:
            await heard(one, redis)
        await asyncio.to_thread(own_redis.stop)
        one.clock.now += 3
        assert not one.feed.hearing
        await asyncio.to_thread(own_redis.start)
        with opened(own_redis.url) as redis:
            # The new one knows nothing of the old one's entries: what was missed cannot be known.
            await eventually(lambda: one.memory.gaps >= 2)
            await heard(one, redis)


async def test_an_answer_that_waited_while_the_process_was_stopped_proves_nothing_of_the_present(
    redis: RedisContents, redis_url: str
) -> None:
    async with listener(redis_url) as one:
        await heard(one, redis)
        await eventually(lambda: redis.waiting() == 1)
        # The reader has asked, and cannot run before the answer is there: as if it had been stopped.
        one.clock.now += 60
        redis.add_entry(**revoked("d1"))
        await eventually(lambda: one.memory.dropped == ["d1"])
        assert not one.feed.hearing


def never_heard() -> DelegationFeed:
    return DelegationFeed(deaf_after_seconds=NEVER, max_remembered=3)


def say(feed: DelegationFeed, delegation: str) -> None:
    feed.on_entry({name.encode(): value.encode() for name, value in revoked(delegation).items()})


def test_an_answer_that_the_revocation_has_overtaken_is_not_kept() -> None:
    feed = never_heard()
    asked = feed.ticket
    say(feed, "d1")
    assert not feed.may_keep("d1", asked)
    assert feed.may_keep("d2", asked)


def test_when_names_are_forgotten_answers_from_before_are_not_kept() -> None:
    feed = never_heard()
    before = feed.ticket
    say(feed, "d1")
    after = feed.ticket
    for number in range(2, 5):
        say(feed, f"d{number}")
    assert not feed.is_revoked("d1")
    assert not feed.may_keep("d1", before)
    # Whoever asks after its end is told by the broker that it has ended.
    assert feed.may_keep("d9", after)


@pytest.mark.parametrize(
    "spoilt", [{b"at": b"soon"}, {b"at": b""}, {b"delegation": b"\xff"}, {b"delegation": b""}]
)
def test_a_malformed_revocation_is_an_error_and_not_silence(spoilt: dict[bytes, bytes]) -> None:
    fields = {name.encode(): value.encode() for name, value in revoked("d1").items()}
    assert event_from_fields(fields) == DelegationRevoked("d1", 1)
    with pytest.raises(ValueError, match=r"invalid literal|codec|without a delegation"):
        event_from_fields(fields | spoilt)
