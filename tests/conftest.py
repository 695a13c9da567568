"""A real Redis for whoever needs one."""

from collections.abc import Generator

import pytest

from tests.support.redis_contents import RedisContents, opened
from tests.support.redis_server import RedisServer, given_url


@pytest.fixture(scope="session")
def redis_database() -> Generator[str]:
    """The URL of a Redis database that is ours to flush: an empty one that was given, or our own server's."""
    given = given_url()
    if given is not None:
        with opened(given) as contents:
            assert contents.size() == 0, "REDIS_URL must name an empty database"
        yield given
        return
    server = RedisServer()
    server.start()
    yield server.url
    server.discard()


@pytest.fixture
def redis(redis_database: str) -> Generator[RedisContents]:
    with opened(redis_database) as contents:
        yield contents
        contents.clear()


@pytest.fixture
def redis_url(redis_database: str, redis: RedisContents) -> str:
    return redis_database


@pytest.fixture
def own_redis() -> Generator[RedisServer]:
    """A Redis of the test's own, to be stopped."""
    server = RedisServer()
    server.start()
    yield server
    server.discard()
