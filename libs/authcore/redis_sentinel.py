"""Asking Sentinels for the master."""

from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Sentinels(Sentinel):
    """Sentinels of which each is known for good.

    The base class moves whichever answers to the front of its list, by its place there. Of calls at the same
    time one then overwrites the place that the other has just filled, and a Sentinel after the other is lost.
    """

    _last: Redis | None = None

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the master's address, from the first Sentinel that thinks well of it.

        Raises:
            MasterNotFoundError: there is none.
        """
        for sentinel in sorted(self.sentinels, key=lambda each: each is not self._last):
            try:
                answer: object = await sentinel.sentinel_masters()  # pyright: ignore[reportUnknownMemberType]
            except (RedisConnectionError, RedisTimeoutError):
                continue
            state = cast("dict[str, dict[str, Any]]", answer).get(service_name)
            if state and self.check_master_state(state, service_name):  # pyright: ignore[reportUnknownMemberType]
                self._last = sentinel
                return state["ip"], state["port"]
        raise MasterNotFoundError("no Sentinel names a master")
