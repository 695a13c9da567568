"""What tests with others' programs share. `world` belongs to each of the other authorization servers."""

from collections.abc import AsyncGenerator

import httpx2
import pytest
import pytest_asyncio

from tests.conformance.external import World
from tests.conformance.node import missing_packages
from tests.conformance.profiles import Profiles, running_profiles
from tests.conformance.suite import HERE
from tests.journeys.conftest import http_client
from tests.support.system import System


@pytest.fixture
async def http() -> AsyncGenerator[httpx2.AsyncClient]:
    async with http_client() as client:
        yield client


@pytest.fixture
def system(world: World, http: httpx2.AsyncClient) -> System:
    return System(world.stack, http)


@pytest.fixture(scope="session")
def packages() -> None:
    reason = missing_packages(HERE)
    if reason is not None:
        pytest.skip(reason)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def profiles(packages: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Profiles]:
    """A system that all tests here share and leave as they found it."""
    async with running_profiles(tmp_path_factory.mktemp("profiles")) as shared:
        yield shared
