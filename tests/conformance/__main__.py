"""`python -m tests.conformance` runs the MCP conformance suite and writes docs/conformance.md."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.node import missing_packages
from tests.conformance.profiles import PROFILES, Profiles, running_profiles
from tests.conformance.report import FAILED, PASSED, REASONS, TABLE, document, rows_of
from tests.conformance.suite import HERE, REVISIONS, Outcome, run_server_scenarios


async def outcomes_of(profile: str, profiles: Profiles, results: Path) -> list[Outcome]:
    """Run a profile at both revisions."""
    async with profiles.reached(profile) as url:
        runs = [
            await run_server_scenarios(url, revision, results / profile / revision) for revision in REVISIONS
        ]
    return [outcome for run in runs for outcome in run]


async def main() -> int:
    """Run everything; return 1 if something is not passed and nobody has said why."""
    with TemporaryDirectory() as directory:
        async with running_profiles(Path(directory) / "logs") as profiles:
            found = {profile: await outcomes_of(profile, profiles, Path(directory)) for profile in PROFILES}
    TABLE.write_text(document(found))
    rows = [(profile, row) for profile, outcomes in found.items() for row in rows_of(profile, outcomes)]
    failed = [(profile, row) for profile, row in rows if row.result == FAILED]
    unexplained = [(profile, row) for profile, row in failed if row.note not in REASONS.values()]
    for profile, row in unexplained:
        sys.stderr.write(f"{profile}: {row.scenario} {row.revision}: {row.note}\n")
    passed = sum(row.result == PASSED for _, row in rows)
    sys.stdout.write(f"{TABLE}: {passed} passed, {len(failed)} not passed, of {len(rows)}\n")
    return 1 if unexplained else 0


if __name__ == "__main__":
    missing = missing_packages(HERE)
    sys.exit(f"The suite cannot run: {missing}" if missing else asyncio.run(main()))
