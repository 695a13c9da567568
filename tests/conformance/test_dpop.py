"""The suite's DPoP scenarios: they test clients, and so the one that our journeys use against the gateway."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.conformance.node import node
from tests.conformance.suite import HERE, PROGRAM, SECONDS

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("scenario", ["auth/dpop", "auth/dpop-nonce"])
async def test_the_client_of_our_journeys_passes_the_dpop_scenarios(scenario: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(node()), str(HERE / PROGRAM), "client", "--scenario", scenario),
        *("--command", f"{sys.executable} -m tests.conformance.dpop_client"),
        *("--output-dir", str(tmp_path)),
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-3000:]
    assert " 0 failed" in output.decode()
