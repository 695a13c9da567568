"""The MCP conformance suite finds what docs/conformance.md says, and all that the specification requires."""

from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conformance.bearer_proxy import with_bearer
from tests.conformance.profiles import FIXTURES, PRODUCTION, Profiles
from tests.conformance.report import TABLE, called_passed, document
from tests.conformance.suite import REVISIONS, Outcome, required, run_server_scenarios, suite_version


def passed(outcomes: list[Outcome]) -> set[tuple[str, str]]:
    return {(one.scenario, one.revision) for one in outcomes if one.passed and not one.failures}


def failures(outcomes: list[Outcome]) -> dict[str, tuple[str, ...]]:
    return {one.scenario: one.failures + one.untestable for one in outcomes if one.failures or one.untestable}


@pytest.mark.requirement("both-eras")
@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_gateway_as_it_ships_passes_what_the_table_says(
    profiles: Profiles, tmp_path: Path, revision: str
) -> None:
    async with profiles.reached(PRODUCTION) as url:
        outcomes = await run_server_scenarios(url, revision, tmp_path)
    wanted = {row for row in called_passed(PRODUCTION, TABLE.read_text()) if row[1] == revision}
    assert wanted
    assert wanted - passed(outcomes) == set(), failures(outcomes)


@pytest.mark.requirement("both-eras")
@pytest.mark.parametrize("revision", REVISIONS)
async def test_with_the_suites_tools_behind_the_guard_everything_required_is_passed(
    profiles: Profiles, tmp_path: Path, revision: str
) -> None:
    async with profiles.reached(FIXTURES) as url:
        outcomes = await run_server_scenarios(url, revision, tmp_path)
    scored = [one for one in outcomes if one.scenario in required(revision)]
    assert {one.scenario for one in scored} == required(revision)
    assert failures(scored) == {}
    wanted = {row for row in called_passed(FIXTURES, TABLE.read_text()) if row[1] == revision}
    assert wanted - passed(outcomes) == set(), failures(outcomes)


async def test_without_the_proxys_token_the_suite_gets_nowhere(profiles: Profiles, tmp_path: Path) -> None:
    url = profiles.stack.addresses.mcp
    outcomes = await run_server_scenarios(url, "2026-07-28", tmp_path)
    tools = next(one for one in outcomes if one.scenario == "tools-list")
    assert "401" in str(tools.failures)


def test_the_table_is_of_the_locked_suite_and_the_installed_sdk() -> None:
    text = TABLE.read_text()
    assert suite_version() in text, "run make conformance"
    assert f"MCP Python SDK {version('mcp')}," in text, "run make conformance"


@pytest.mark.usefixtures("packages")
def test_the_table_says_what_was_found() -> None:
    found = [
        Outcome("tools-list", "2026-07-28", 3, (), ()),
        Outcome("ping", "2025-11-25", 1, ("ping: no | answer",), ()),
        Outcome("tasks-lifecycle", "2026-07-28", 0, (), ()),
    ]
    text = document({FIXTURES: found, PRODUCTION: []})
    assert called_passed(FIXTURES, text) == {("tools-list", "2026-07-28")}
    assert called_passed(PRODUCTION, text) == set()
    assert "| ping | 2025-11-25 | yes | **not passed** | ping: no \\| answer |" in text
    assert "| tasks-lifecycle | 2026-07-28 | no | nothing to check |" in text


def test_the_proxy_adds_the_token_and_leaves_the_rest_as_it_was_sent() -> None:
    sent = b"POST /mcp HTTP/1.1\r\nHost: evil.test\r\nX: a\r\nConnection: keep-alive\r\nx:  b \r\n\r\n"
    assert with_bearer(sent, "secret").split(b"\r\n") == [
        b"POST /mcp HTTP/1.1",
        b"Connection: close",
        b"Authorization: Bearer secret",
        b"Host: evil.test",
        b"X: a",
        b"x:  b ",
        b"",
        b"",
    ]
