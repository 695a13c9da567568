"""What may be used once is used once, in all replicas."""

import hashlib

from authcore.clock import Clock
from authcore.redis_client import BoundedRedis


class ReplayGuard:
    """Remembers names in Redis until they could no longer be used anyway."""

    def __init__(self, redis: BoundedRedis, prefix: str, *, now: Clock) -> None:
        self._redis = redis
        self._prefix = prefix
        self._now = now

    async def first_use(self, key: str, until: int) -> bool:
        """Tell whether `key` is seen for the first time.

        Raises:
            TemporarilyUnavailable: Redis could not say; then nobody may pass.
        """
        seconds = max(until - self._now(), 1)
        # A digest bounds the name: the caller chose what is in it.
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        async with self._redis.use() as redis:
            return bool(await redis.set(f"{{{self._prefix}:{name}}}", b"1", nx=True, ex=seconds))
