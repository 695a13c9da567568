"""Counts calls for all replicas, and asks Redis about few of them (docs/adr/0037).

A replica takes calls from a bucket a few at a time, a lease, and then admits as many without asking. What it
has not used when the lease ends is lost to the agent, so leases are small: as long as the last one was used
up they double, to a quarter of what flows into the bucket meanwhile. Nobody ever gets more than the limit.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from authcore.clock import Monotonic
from authcore.errors import TemporarilyUnavailable
from authcore.single_flight import SingleFlight
from mcp_gateway.limit_buckets import Buckets, LocalBuckets
from mcp_gateway.limits import Bucket, Granted, Limit

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 2.0
LEASED_SHARE: Final = 0.25
"""Of what flows into a bucket during a lease: so much at most may be lost to a replica that uses less."""
MAX_LEASES: Final = 20_000
RETRY_SECONDS: Final = 1.0
"""How long Redis is not asked after it could not answer: nobody should wait for that again and again."""
PATIENCE_SECONDS: Final = 5.0
"""How long a call waits for its turn. Each answer of Redis lets at least one of those who wait through."""


class TooManyRequests(Exception):
    """RFC 6585 §4. The bucket is empty."""

    def __init__(self, limit: Limit, retry_after_seconds: float) -> None:
        super().__init__(limit.name)
        self.limit = limit
        self.retry_after_seconds = max(ceil(retry_after_seconds), 1)


@dataclass(slots=True)
class _Lease:
    size: int = 0
    left: int = 0
    until: float = 0.0
    refused_until: float = 0.0
    remaining: int = 0
    full_at: float = 0.0
    waiting: int = 0


class Limiter:
    """Admits calls, or says which limit stands against them."""

    def __init__(self, shared: Buckets | None, *, refuse_without_redis: bool, now: Monotonic) -> None:
        """Prepare.

        Args:
            shared: the buckets of all replicas; `None` counts in this process alone.
            refuse_without_redis: whether calls are refused while Redis is away; else each replica counts by
                itself.
            now: seconds.
        """
        self._local = LocalBuckets(now=now)
        self._shared = shared
        self._refuse = refuse_without_redis
        self._now = now
        self._leases = OrderedDict[str, _Lease]()
        self._asking = SingleFlight[str, None]()
        self._away_until = 0.0

    async def admit(self, buckets: Sequence[Bucket]) -> str:
        """Take one call from each bucket, or from none. Return the value of `RateLimit` for the tightest.

        Raises:
            TooManyRequests: a bucket is empty.
            TemporarilyUnavailable: nobody could say, and that is a reason to refuse.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while empty := [bucket for bucket in buckets if not self._has_one(bucket)]:
                    for bucket in empty:
                        await self._renew(bucket)
        except TimeoutError:
            raise TemporarilyUnavailable(
                reason="too many callers for one bucket", retry_after_seconds=1
            ) from None
        return self._taken(buckets)

    def _has_one(self, bucket: Bucket) -> bool:
        """Tell whether the lease has a call left.

        Raises:
            TooManyRequests: the bucket was found empty, and is still.
        """
        lease, now = self._lease(bucket.key), self._now()
        if now < lease.refused_until:
            raise TooManyRequests(bucket.limit, lease.refused_until - now)
        return lease.left > 0 and now < lease.until

    def _taken(self, buckets: Sequence[Bucket]) -> str:
        shown, least = "", 2.0
        for bucket in buckets:
            lease, limit = self._lease(bucket.key), bucket.limit
            lease.left -= 1
            remaining = lease.left + lease.remaining
            if remaining / limit.quota < least:
                least = remaining / limit.quota
                seconds = max(ceil(lease.full_at - self._now()), 1)
                shown = f'"{limit.name}";r={remaining};t={seconds}'
        return shown

    async def _renew(self, bucket: Bucket) -> None:
        lease = self._lease(bucket.key)
        lease.waiting += 1
        try:
            await self._asking.run(bucket.key, lambda: self._ask(bucket, lease))
        finally:
            lease.waiting -= 1

    async def _ask(self, bucket: Bucket, lease: _Lease) -> None:
        limit = bucket.limit
        most = max(int(limit.quota / limit.window_seconds * LEASE_SECONDS * LEASED_SHARE), 1)
        used_up = lease.left == 0 and self._now() < lease.until
        size = min(max(lease.size * 2 if used_up else lease.size // 2, 1), most)
        granted = await self._take(bucket, max(size, min(lease.waiting, limit.quota)))
        now = self._now()
        lease.size, lease.left, lease.until = size, granted.calls, now + LEASE_SECONDS
        lease.remaining, lease.full_at = granted.remaining, now + granted.full_after_seconds
        if granted.calls == 0:
            lease.refused_until = now + granted.retry_after_seconds

    async def _take(self, bucket: Bucket, wanted: int) -> Granted:
        if self._shared is None:
            return self._local.take_now(bucket, wanted)
        if self._now() >= self._away_until:
            try:
                return await self._shared.take(bucket, wanted)
            except TemporarilyUnavailable as error:
                self._away_until = self._now() + RETRY_SECONDS
                logger.warning("limits are not shared for now: %s", error.reason)
        if self._refuse:
            raise TemporarilyUnavailable(reason="limits cannot be counted", retry_after_seconds=2)
        return self._local.take_now(bucket, wanted)

    def _lease(self, key: str) -> _Lease:
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = _Lease()
            if len(self._leases) > MAX_LEASES:
                self._leases.popitem(last=False)
        else:
            self._leases.move_to_end(key)
        return lease
