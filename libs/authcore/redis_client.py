"""The connection to Redis: every use ends in bounded time, and trouble is never a verdict on a token.

Which Redis it is, a single node, one behind Sentinels or a Cluster, makes no difference to who uses it, as
long as the keys of one command have one hash tag (docs/adr/0025).
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from authcore.errors import TemporarilyUnavailable
from authcore.events import DELEGATIONS
from authcore.redis_sentinel import Sentinels
from authcore.redis_url import Credentials, RedisLocation, TlsFiles, parse_redis_url

RETRY_AFTER_SECONDS = 2

READER_TIMEOUT_SECONDS = 2.0
"""For connections that block on a stream: longer than any of them blocks."""

TROUBLE: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What Redis, or the way to it, can raise."""

SPARE_CONNECTIONS: Final = 2
"""In a Cluster, connections of before a change of its layout are being closed while new ones are made."""

NO_FILES: Final = TlsFiles()

REPLICATION_MILLISECONDS: Final = 400
"""How long replicas may take to have what was written."""

Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class BoundedRedis:
    """Connections to Redis with a limit on the time each use may take, and on how many there are at once."""

    client: Redis
    """Of a Cluster it is a `RedisCluster`, which takes the same commands."""
    deadline_seconds: float
    places: asyncio.Semaphore
    sentinel: Sentinels | None = None

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Redis]:
        """Lend the client for one or more commands, one after the other.

        Raises:
            TemporarilyUnavailable: Redis is away, too slow, or refused a command.
        """
        try:
            async with asyncio.timeout(self.deadline_seconds), self.places:
                yield await self.ready()
        except TROUBLE as error:
            # Messages of Redis may quote arguments: only the kind of trouble is passed on.
            raise TemporarilyUnavailable(
                "The store is not available",
                reason=f"redis: {type(error).__name__}",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None

    async def ready(self) -> Redis:
        """Return the client once it knows where keys are; what it is told before that goes to any node.

        Raises:
            RedisClusterException: no node could be asked.
        """
        client: object = self.client
        if isinstance(client, RedisCluster):
            await client.initialize()
        return self.client

    async def check(self) -> None:
        """Return if Redis can say whether there is a stream of delegations: a Cluster then serves its slots.

        Raises:
            TemporarilyUnavailable: it cannot.
        """
        async with self.use() as redis:
            await redis.exists(DELEGATIONS)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()
        client: object = self.client
        if isinstance(client, RedisCluster):
            # It closes nothing while it means to look at the layout again.
            await client.nodes_manager.aclose()
            await client.nodes_manager.aclose("startup_nodes")
        if self.sentinel is not None:
            await self.sentinel.aclose()


class Script:
    """A script that Redis runs as one step. Its keys share a hash tag."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: Redis, *, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Return what the script returns; a node that has not seen it yet is told its text."""
        try:
            return cast(object, await redis.evalsha(self._digest, len(keys), *keys, *args))
        except NoScriptError:
            return cast(object, await redis.eval(self._text, len(keys), *keys, *args))

    async def run_replicated(
        self,
        redis: Redis,
        *,
        keys: Sequence[str],
        args: Sequence[Argument],
        replicas: int,
    ) -> object:
        """Return what the script returns, once so many replicas have what it has written.

        Raises:
            TooFewReplicas: they do not have it, or not in time. It may have been written nevertheless.
        """
        if replicas == 0:
            return await self.run(redis, keys=keys, args=args)
        where: dict[str, Any] = {}
        cluster: object = redis
        if isinstance(cluster, RedisCluster):
            # Follow the slot if it has moved: what is below cannot, as replicas are asked on one connection.
            await cluster.exists(keys[0])
            where = {"target_nodes": cluster.get_node_from_key(keys[0])}
        async with redis.pipeline(transaction=False) as pipe:
            send = cast("Callable[..., object]", pipe.execute_command)  # pyright: ignore[reportUnknownMemberType]
            send("EVAL", self._text, len(keys), *keys, *args, **where)
            send("WAIT", replicas, REPLICATION_MILLISECONDS, **where)
            answer, reached = cast("tuple[object, int]", await pipe.execute())
        if reached < replicas:
            raise TooFewReplicas
        return answer


class TooFewReplicas(RedisError):
    """What was written may be lost when the master is."""


def require_redis_url(url: str) -> None:
    """Return if the URL names a Redis.

    Raises:
        ValueError: it does not. The URL is not quoted: there may be a password in it.
    """
    parse_redis_url(url)


def connect(
    url: str, *, tls: TlsFiles = NO_FILES, timeout_seconds: float, max_connections: int
) -> BoundedRedis:
    """Return a client to keep for the life of the process. Nothing is connected yet.

    Args:
        url: as in `redis_url.py`.
        tls: files for TLS, if the URL asks for it.
        timeout_seconds: limit for connecting and for each answer; a whole use, with the wait for its turn,
            may take twice that.
        max_connections: connections used at once; in a Cluster, all nodes together.
    """
    location = parse_redis_url(url)
    options = _options(location.credentials, timeout_seconds) | _tls(location, tls)
    deadline_seconds, places = 2 * timeout_seconds, asyncio.Semaphore(max_connections)
    match location.topology:
        case "single":
            client = Redis.from_pool(_pool(location, options, max_connections))
            return BoundedRedis(client, deadline_seconds, places)
        case "sentinel":
            own = _options(location.sentinel_credentials, timeout_seconds) | _tls(location, tls)
            sentinel = Sentinels(location.nodes, sentinel_kwargs=own)
            client = sentinel.master_for(  # pyright: ignore[reportUnknownMemberType]
                location.master, db=location.database, **options
            )
            return BoundedRedis(client, deadline_seconds, places, sentinel)
        case "cluster":
            nodes = [ClusterNode(host, port) for host, port in location.nodes]
            connections = SPARE_CONNECTIONS * max_connections
            # Slots that have moved are looked up one by one: to look up all of them, the client would first
            # cut every connection, those that others wait on included.
            options |= {"max_connections": connections, "reinitialize_steps": 0}
            cluster = RedisCluster(startup_nodes=nodes, **options)
            return BoundedRedis(cast("Redis", cluster), deadline_seconds, places)


def _pool(location: RedisLocation, options: dict[str, Any], max_connections: int) -> ConnectionPool:
    options |= {"db": location.database, "max_connections": max_connections}
    if location.path is not None:
        return ConnectionPool(UnixDomainSocketConnection, path=location.path, **options)
    host, port = location.nodes[0]
    kind = SSLConnection if options.pop("ssl", False) else Connection
    return ConnectionPool(kind, host=host, port=port, **options)


def _options(credentials: Credentials, timeout_seconds: float) -> dict[str, Any]:
    return {
        "username": credentials.username,
        "password": credentials.password,
        "socket_connect_timeout": timeout_seconds,
        "socket_timeout": timeout_seconds,
        # One shape of answers, whatever the server could do.
        "protocol": 2,
        # The caller is told to try again; a retry in here would double its wait and hide the trouble.
        "retry": Retry(NoBackoff(), 0),
        # With these notifications on, the pool lends out connections the server has closed.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        # Nobody is told the name of a library: that would take a permission.
        "driver_info": None,
    }


def _tls(location: RedisLocation, files: TlsFiles) -> dict[str, Any]:
    if not location.tls:
        return {}

    def name(path: object) -> str | None:
        return None if path is None else str(path)

    return {
        "ssl": True,
        "ssl_ca_certs": name(files.authorities),
        "ssl_certfile": name(files.certificate),
        "ssl_keyfile": name(files.key),
    }
