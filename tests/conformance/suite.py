"""Runs the MCP conformance suite, which is a Node.js program, and reads what it found."""

import asyncio
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.conformance.node import node

HERE: Final = Path(__file__).parent
PROGRAM: Final = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
REVISIONS: Final = ("2026-07-28", "2025-11-25")
SECONDS: Final = 120.0
_DIRECTORY: Final = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario found in one run."""

    scenario: str
    revision: str
    passed: int
    failures: tuple[str, ...]
    untestable: tuple[str, ...]
    """Checks that the suite could not make, for want of a tool of its own."""


def required(revision: str) -> frozenset[str]:
    """The scenarios that a server of the revision has to pass, by the suite's own frozen list."""
    sets = HERE / "node_modules/@modelcontextprotocol/conformance/requirements"
    listed = re.search(r"^server:\n((?:  - \S+\n)+)", (sets / f"{revision}.yaml").read_text(), re.MULTILINE)
    assert listed is not None, "the suite lists its requirements in another form"
    return frozenset(line.removeprefix("  - ") for line in listed[1].splitlines())


def suite_version() -> str:
    """The version that is locked."""
    package = json.loads((HERE / "package.json").read_text())
    return package["devDependencies"]["@modelcontextprotocol/conformance"]


async def run_suite(*arguments: str, directory: Path = HERE) -> tuple[int | None, str]:
    """Run the suite from the directory; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(str(node()), str(HERE / PROGRAM), *arguments),
        cwd=directory,
        env=os.environ | {"NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def run_server_scenarios(url: str, revision: str, results: Path) -> list[Outcome]:
    """Run all that a revision requires, and what it reports without counting it, in the suite's order."""
    _, output = await run_suite(
        "server", "--url", url, "--requirements", revision, "--output-dir", str(results)
    )
    # It tells by its exit code whether all passed, which is no question here.
    ran = re.findall(r"^=== Running scenario: (\S+) ===$", output, re.MULTILINE)
    assert ran, f"the suite did not run: {output[-2000:]}"
    found = {outcome.scenario: outcome for outcome in _read(results, revision)}
    return [found.get(scenario) or _crashed(scenario, revision) for scenario in ran]


def _crashed(scenario: str, revision: str) -> Outcome:
    return Outcome(scenario, revision, 0, ("the suite left no results",), ())


def _is_untestable(check: dict[str, Any]) -> bool:
    details: dict[str, Any] = check.get("details") or {}
    return bool(details.get("untestable"))


def _read(results: Path, revision: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for file in results.glob("*/checks.json"):
        named = _DIRECTORY.fullmatch(file.parent.name)
        if named is None:
            continue
        checks: list[dict[str, Any]] = json.loads(file.read_text())
        failed = [check for check in checks if check["status"] == "FAILURE"]
        untestable = [check for check in failed if _is_untestable(check)]
        outcomes.append(
            Outcome(
                named["scenario"],
                revision,
                sum(check["status"] == "SUCCESS" for check in checks),
                tuple(
                    f"{check['id']}: {check.get('errorMessage')}"
                    for check in failed
                    if check not in untestable
                ),
                tuple(check["id"] for check in untestable),
            )
        )
    return outcomes
