"""Leases: few questions to Redis, and never more calls than the limit."""

import asyncio
from dataclasses import dataclass, field

import pytest

from authcore.clock import monotonic
from authcore.redis_client import connect
from mcp_gateway.limit_buckets import MAX_LOCAL_BUCKETS, LocalBuckets, SharedBuckets
from mcp_gateway.limiter import Limiter, TooManyRequests
from mcp_gateway.limits import Bucket, Granted, Limit

MINUTE = Bucket(Limit("delegation", None, 1200, 60), "minute")
HOUR = Bucket(Limit("delegation", None, 100, 3600), "hour")


@dataclass
class Watch:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Counted:
    """Buckets that count how often they are asked."""

    buckets: LocalBuckets
    asked: int = 0
    given: list[int] = field(default_factory=list[int])

    async def take(self, bucket: Bucket, wanted: int) -> Granted:
        self.asked += 1
        await asyncio.sleep(0)
        granted = self.buckets.take_now(bucket, wanted)
        self.given.append(granted.calls)
        return granted


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def counted(watch: Watch) -> Counted:
    return Counted(LocalBuckets(now=watch))


def limiter(counted: Counted, watch: Watch) -> Limiter:
    return Limiter(counted, refuse_without_redis=False, now=watch)


async def admitted(limiter: Limiter, bucket: Bucket) -> bool:
    try:
        await limiter.admit([bucket])
    except TooManyRequests:
        return False
    return True


async def test_a_busy_agent_is_asked_about_once_for_many_calls(counted: Counted, watch: Watch) -> None:
    one = limiter(counted, watch)
    for _ in range(500):
        assert await admitted(one, MINUTE)
        watch.seconds += 0.06
    assert counted.asked < 70
    assert max(counted.given) == 10


async def test_an_agent_that_calls_seldom_loses_nothing_to_leases(counted: Counted, watch: Watch) -> None:
    replicas = [limiter(counted, watch) for _ in range(3)]
    for number in range(300):
        assert await admitted(replicas[number % 3], MINUTE)
        watch.seconds += 3
    assert set(counted.given) == {1}


async def test_an_agent_within_its_limit_is_never_refused_by_two_replicas(
    counted: Counted, watch: Watch
) -> None:
    replicas = [limiter(counted, watch) for _ in range(2)]
    for number in range(3000):
        assert await admitted(replicas[number % 2], MINUTE)
        watch.seconds += 60 / 1200 / 0.6


async def test_who_calls_all_at_once_gets_the_quota_and_not_one_more(counted: Counted, watch: Watch) -> None:
    replicas = [limiter(counted, watch) for _ in range(3)]
    calls = [admitted(replicas[number % 3], HOUR) for number in range(200)]
    results = await asyncio.gather(*calls)
    assert sum(results) == 100
    asked = counted.asked
    assert not await admitted(replicas[0], HOUR)
    assert not await admitted(replicas[0], HOUR)
    assert counted.asked <= asked + 1
    watch.seconds += 36
    assert [await admitted(replicas[0], HOUR) for _ in range(2)] == [True, False]


async def test_a_call_takes_from_all_its_buckets_or_from_none(counted: Counted, watch: Watch) -> None:
    one, small = limiter(counted, watch), Bucket(Limit("tool", "x", 1, 3600), "small")
    assert await one.admit([HOUR, small]) == '"x-3600s";r=0;t=3600'
    for _ in range(5):
        with pytest.raises(TooManyRequests):
            await one.admit([HOUR, small])
    assert await one.admit([HOUR]) == '"delegation-3600s";r=98;t=72'


async def test_in_redis_a_thousand_calls_at_once_over_two_replicas_get_the_quota(redis_url: str) -> None:
    redis = connect(redis_url, timeout_seconds=5, max_connections=8)
    day = Bucket(Limit("delegation", None, 300, 86_400), "day")
    replicas = [Limiter(SharedBuckets(redis), refuse_without_redis=True, now=monotonic) for _ in range(2)]
    try:
        results = await asyncio.gather(*(admitted(replicas[number % 2], day) for number in range(1000)))
        assert sum(results) == 300
        with pytest.raises(TooManyRequests) as refused:
            await replicas[0].admit([day])
        assert 200 <= refused.value.retry_after_seconds <= 288
    finally:
        await redis.aclose()


def test_local_buckets_are_bounded(watch: Watch) -> None:
    buckets = LocalBuckets(now=watch)
    for number in range(MAX_LOCAL_BUCKETS + 5):
        buckets.take_now(Bucket(HOUR.limit, str(number)), 100)
    assert buckets.take_now(Bucket(HOUR.limit, "0"), 1).calls == 1
    assert buckets.take_now(Bucket(HOUR.limit, str(MAX_LOCAL_BUCKETS)), 1).calls == 0


class Slow(Counted):
    """Answers after callers had the time to come in between."""

    async def take(self, bucket: Bucket, wanted: int) -> Granted:
        for _ in range(20):
            await asyncio.sleep(0)
        return await super().take(bucket, wanted)


async def test_many_callers_at_once_each_get_their_turn(watch: Watch) -> None:
    slow = Slow(LocalBuckets(now=watch))
    many, whole = limiter(slow, watch), Bucket(Limit("client", None, 60_000, 60), "whole")
    calls = iter(range(MINUTE.limit.quota))

    async def agent(number: int) -> int:
        done = 0
        for _ in calls:
            for _ in range(number % 7):
                await asyncio.sleep(0)
            await many.admit([MINUTE, whole])
            done += 1
        return done

    assert sum(await asyncio.gather(*(agent(number) for number in range(64)))) == MINUTE.limit.quota
