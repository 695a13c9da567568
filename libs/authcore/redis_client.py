"""The connection to Redis: every use ends in bounded time, and trouble is never a verdict on a token."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from authcore.errors import TemporarilyUnavailable

RETRY_AFTER_SECONDS = 2

READER_TIMEOUT_SECONDS = 2.0
"""For connections that block on a stream: longer than any of them blocks."""


@dataclass(frozen=True, slots=True)
class BoundedRedis:
    """A pool of connections with a limit on the time each use of it may take."""

    client: Redis
    deadline_seconds: float

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Redis]:
        """Lend the client for one or more commands.

        Raises:
            TemporarilyUnavailable: Redis is away, too slow, or refused a command.
        """
        try:
            async with asyncio.timeout(self.deadline_seconds):
                yield self.client
        except (RedisError, OSError, TimeoutError) as error:
            # Messages of Redis may quote arguments: only the kind of trouble is passed on.
            raise TemporarilyUnavailable(
                "The store is not available",
                reason=f"redis: {type(error).__name__}",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None

    async def check(self) -> None:
        """Return if Redis answers.

        Raises:
            TemporarilyUnavailable: it does not.
        """
        async with self.use() as redis:
            await redis.ping()  # pyright: ignore[reportUnknownMemberType]

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()


def require_redis_url(url: str) -> None:
    """Return if the URL names a Redis.

    Raises:
        ValueError: it does not. The URL is not quoted: there may be a password in it.
    """
    if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be a redis://, rediss:// or unix:// URL")


def connect(url: str, *, timeout_seconds: float, max_connections: int) -> BoundedRedis:
    """Return a client to keep for the life of the process. Nothing is connected yet.

    Args:
        url: `redis://` or `rediss://`, with credentials if any.
        timeout_seconds: limit for connecting and for each answer; a whole use, with the wait for a place in
            the pool, may take twice that.
        max_connections: connections kept.
    """
    deadline_seconds = 2 * timeout_seconds
    pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        max_connections=max_connections,
        timeout=deadline_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        # One shape of answers, whatever the server could do.
        protocol=2,
        # The caller is told to try again; a retry in here would double its wait and hide the trouble.
        retry=Retry(NoBackoff(), 0),
        # With these notifications on, the pool lends out connections the server has closed.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return BoundedRedis(Redis.from_pool(pool), deadline_seconds)
