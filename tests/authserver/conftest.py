from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.authserver.server import AuthServer, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    async with serving(tmp_path) as running:
        yield running
