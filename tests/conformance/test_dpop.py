"""The suite's DPoP scenarios: they test clients, and so the one that our journeys use against the gateway."""

import sys
from pathlib import Path

import pytest

from tests.conformance.suite import run_suite

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("scenario", ["auth/dpop", "auth/dpop-nonce"])
async def test_the_client_of_our_journeys_passes_the_dpop_scenarios(scenario: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m tests.conformance.dpop_client"
    arguments = ("--scenario", scenario, "--command", command, "--output-dir", str(tmp_path))
    code, output = await run_suite("client", *arguments, directory=ROOT)
    assert code == 0, output[-3000:]
    assert " 0 failed" in output
