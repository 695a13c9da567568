"""What is in Redis, for tests that look at it from outside, or spoil it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis, RedisCluster
from redis.cluster import ClusterNode

from authcore.events import DELEGATIONS
from authcore.redis_url import parse_redis_url
from token_broker.announcements import PENDING


class RedisContents:
    """Typed access to the keys and values of one database."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client = cast(Any, client)

    def matching(self, pattern: str = "*") -> list[str]:
        return [key.decode() for key in self._client.scan_iter(pattern)]

    def delegations(self) -> list[str]:
        """Return the keys of all hashes of tokens."""
        return self.matching("{d:*}:tokens")

    def hash(self, key: str) -> dict[str, bytes]:
        return {name.decode(): value for name, value in self._client.hgetall(key).items()}

    def sealed(self, key: str) -> dict[str, bytes]:
        """Return the sealed tokens of a hash."""
        return {name: value for name, value in self.hash(key).items() if "|" in name}

    def set_field(self, key: str, name: str, value: bytes) -> None:
        self._client.hset(key, name, value)

    def set(self, key: str, value: bytes) -> None:
        self._client.set(key, value)

    def announced(self) -> list[str]:
        """Return the delegations whose revocation is on the stream, in order."""
        entries = self._client.xrange(DELEGATIONS)
        return [fields[b"delegation"].decode() for _, fields in entries if fields[b"type"] == b"revoked"]

    def stream(self, key: str) -> list[dict[str, str]]:
        """Return the entries of a stream, in order."""
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self._client.xrange(key)
        ]

    def entries(self) -> int:
        """Return how many entries the stream of delegations has."""
        return self._client.xlen(DELEGATIONS)

    def pending(self) -> list[str]:
        """Return the delegations whose revocation has begun and is not announced."""
        return [member.decode() for member in self._client.zrange(PENDING, 0, -1)]

    def members(self, key: str) -> list[str]:
        """Return the members of a sorted set, in order."""
        return [member.decode() for member in self._client.zrange(key, 0, -1)]

    def copy(self, key: str, to: str) -> None:
        """Put what is kept under one key under another."""
        self._client.set(to, self._client.get(key))

    def ttl(self, key: str) -> int:
        return self._client.ttl(key)

    def drop(self, key: str) -> None:
        self._client.delete(key)

    def add_entry(self, **fields: str) -> None:
        """Add an entry to the stream of delegations."""
        self._client.xadd(DELEGATIONS, fields)

    def waiting(self) -> int:
        """Return how many clients wait for an entry."""
        return self._client.info("clients")["blocked_clients"]

    def disconnect_others(self) -> None:
        """Cut every other client's connection."""
        self._client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Let nobody see anything of what is done in here before all of it is done."""
        client, self._client = self._client, self._client.pipeline(transaction=True)
        try:
            yield
            self._client.execute()
        finally:
            self._client = client

    def trim(self, length: int) -> None:
        """Leave the stream of delegations its last entries only."""
        self._client.xtrim(DELEGATIONS, maxlen=length, approximate=False)

    def exists(self, key: str) -> bool:
        return self._client.exists(key) == 1

    def size(self) -> int:
        return self._client.dbsize()

    def clear(self) -> None:
        self._client.flushdb()

    def forget_scripts(self) -> None:
        self._client.script_flush()

    def dump(self) -> bytes:
        """Return all keys and all that is kept under them."""
        parts: list[bytes] = []
        for key in self.matching():
            parts.append(key.encode())
            match self._client.type(key):
                case b"hash":
                    parts.extend(
                        part for name, value in self.hash(key).items() for part in (name.encode(), value)
                    )
                case b"string":
                    parts.append(self._client.get(key))
                case b"zset":
                    parts.extend(self._client.zrange(key, 0, -1))
                case b"stream":
                    parts.extend(
                        part
                        for _, fields in self._client.xrange(key)
                        for pair in fields.items()
                        for part in pair
                    )
                case b"none":
                    # It has expired since it was found.
                    parts.pop()
                case kind:
                    raise AssertionError(f"{key} is a {kind}")
        return b"\n".join(parts)


@contextmanager
def opened(url: str) -> Generator[RedisContents]:
    client = _client(url)
    try:
        yield RedisContents(client)
    finally:
        client.close()


def _client(url: str) -> Redis | RedisCluster:
    location = parse_redis_url(url)
    if location.topology == "cluster":
        nodes = [ClusterNode(host, port) for host, port in location.nodes]
        credentials = location.credentials
        return RedisCluster(startup_nodes=nodes, username=credentials.username, password=credentials.password)
    return Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
