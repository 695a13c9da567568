"""What is in Redis, for tests that look at it from outside, or spoil it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from redis import Redis


class RedisContents:
    """Typed access to the keys and values of one database."""

    def __init__(self, client: Redis) -> None:
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
        return {name: value for name, value in self.hash(key).items() if name != "source"}

    def set_field(self, key: str, name: str, value: bytes) -> None:
        self._client.hset(key, name, value)

    def set(self, key: str, value: bytes) -> None:
        self._client.set(key, value)

    def ttl(self, key: str) -> int:
        return self._client.ttl(key)

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
                case kind:
                    raise AssertionError(f"{key} is a {kind}")
        return b"\n".join(parts)


@contextmanager
def opened(url: str) -> Generator[RedisContents]:
    client = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
    try:
        yield RedisContents(client)
    finally:
        client.close()
