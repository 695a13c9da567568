"""What journeys with other authorization servers share; `world` is their own."""

from collections.abc import AsyncGenerator

import httpx2
import pytest

from tests.conformance.external import World
from tests.journeys.conftest import http_client
from tests.support.system import System


@pytest.fixture
async def http() -> AsyncGenerator[httpx2.AsyncClient]:
    async with http_client() as client:
        yield client


@pytest.fixture
def system(world: World, http: httpx2.AsyncClient) -> System:
    return System(world.stack, http)
