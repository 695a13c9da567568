"""The real system for journeys: all parts as processes, real Redis, real sockets.

`stack` is shared by the whole session and must be left as it was found. `private_stack` is for those who stop
parts: `await private_stack.stop("redis")`, `await private_stack.start("redis")`.
"""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from demo.stack import Stack, StackOptions, running_stack
from tests.support.system import System


def options(logs: Path, **environment: Mapping[str, str]) -> StackOptions:
    """Run everything on ports of its own, and say in the logs whatever there is to say."""
    return StackOptions(log_level="debug", logs=logs, extra=environment)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    """The system that all journeys share."""
    async with running_stack(options(tmp_path_factory.mktemp("stack"))) as shared:
        yield shared


@pytest.fixture
async def private_stack(tmp_path: Path) -> AsyncGenerator[Stack]:
    """A system of one's own, whose gateway remembers nothing: every call goes all the way."""
    forgetful = {"GATEWAY_MEMORY_SECONDS": "0"}
    async with running_stack(options(tmp_path / "logs", gateway=forgetful)) as own:
        yield own


@pytest.fixture
async def system(stack: Stack) -> AsyncGenerator[System]:
    """The shared stack, with an HTTP client that belongs to the test's own event loop."""
    async with http_client() as http:
        yield System(stack, http)


@pytest.fixture
async def private_system(private_stack: Stack) -> AsyncGenerator[System]:
    """A private stack with an HTTP client."""
    async with http_client() as http:
        yield System(private_stack, http)


def http_client() -> httpx2.AsyncClient:
    """Return a client that waits longer than any part does, so that a test sees what they answer."""
    return httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(30.0))
