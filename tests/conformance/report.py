"""docs/conformance.md: what the suite finds, and why whatever it does not pass is as it is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.conformance.profiles import FIXTURES, PRODUCTION
from tests.conformance.suite import Outcome, required, suite_version

TABLE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
PASSED: Final = "passed"
NOTHING: Final = "nothing to check"
FAILED: Final = "**not passed**"

WITHOUT_FIXTURES: Final = frozenset(
    {
        "server-initialize",
        "server-stateless",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "caching",
        "http-header-validation",
        "dns-rebinding-protection",
        "server-sse-multiple-streams",
        "server-session-lifecycle",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
    }
)
"""What can be asked of a server that has not the suite's tools, resources and prompts."""

REASONS: Final = {
    "tasks-": "The Tasks extension is optional: the Python SDK does not have it, and no tool here takes "
    "long enough to need it",
    "server-sse-polling": "On hold in the suite: asks for streams that can be taken up again. The gateway "
    "keeps nothing between requests ([0009](adr/0009-json-for-unary-tools.md))",
}
"""Why a scenario is not passed, by the beginning of its name."""

_HEAD: Final = """\
# Conformance

What the official MCP conformance suite finds. `make conformance` runs it and writes this file; `make test`
runs the same, and fails if a scenario that is called passed here does not pass.

`@modelcontextprotocol/conformance` {suite}, MCP Python SDK {sdk}, gateway {gateway}.

The suite cannot authorize itself, so a [proxy](../tests/conformance/bearer_proxy.py) on loopback adds a
user's token to each of its requests and changes nothing else. Both servers are processes of their own, with
the real broker, authorization server and Redis behind them. Each scenario runs at the wire version of its
revision.

The suite's scenarios for authorization servers, `authorization-server-metadata-endpoint` and
`authorization-code-grant`, pass against the development authorization server, with a client that registered
and with one known by its document ([test](../tests/conformance/test_authorization_server.py)). There are none
for the OAuth side of an MCP server; [requirements.py](../tests/requirements.py) says which tests show
that.
"""
_SECTIONS: Final = {
    PRODUCTION: """\
## The gateway as it ships

All scenarios that need none of the suite's own tools, resources and prompts.
""",
    FIXTURES: """\
## The same guard before the suite's own tools

Everything that the revisions require of a server, and what the suite runs without counting it. The
[tools](../tests/conformance/fixture_gateway.py) are the suite's and are not shipped; guard, validation and
broker are the gateway's. This server keeps sessions for the older revision, whose scenarios have the server
ask the client something in the middle of a call; the gateway keeps none.
""",
}
_COLUMNS: Final = "| scenario | revision | required | result | note |\n|---|---|---|---|---|\n"
_ROW: Final = re.compile(r"^\| ([\w-]+) \| ([\d-]+) \| (?:yes|no) \| ([\w* ]+) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    scenario: str
    revision: str
    result: str
    note: str


def rows_of(profile: str, outcomes: Iterable[Outcome]) -> list[Row]:
    """Return what is to be said about a profile."""
    return [
        _row(outcome) for outcome in outcomes if profile == FIXTURES or outcome.scenario in WITHOUT_FIXTURES
    ]


def _row(outcome: Outcome) -> Row:
    if outcome.failures:
        return Row(outcome.scenario, outcome.revision, FAILED, _why(outcome))
    if not outcome.passed:
        return Row(outcome.scenario, outcome.revision, NOTHING, "The suite skips its checks here")
    missing = len(outcome.untestable)
    note = f"{missing} further checks need tools of the suite: see below" if missing else ""
    return Row(outcome.scenario, outcome.revision, PASSED, note)


def _why(outcome: Outcome) -> str:
    for beginning, reason in REASONS.items():
        if outcome.scenario.startswith(beginning):
            return reason
    return "; ".join(outcome.failures).replace("|", "\\|").replace("\n", " ")[:300]


def document(found: dict[str, list[Outcome]]) -> str:
    """Return the file."""
    head = _HEAD.format(suite=suite_version(), sdk=version("mcp"), gateway=version("mcp-gateway"))
    return "\n".join([head, *(_section(profile, outcomes) for profile, outcomes in found.items())])


def _section(profile: str, outcomes: list[Outcome]) -> str:
    rows = sorted(
        rows_of(profile, outcomes), key=lambda row: (row.result != PASSED, row.scenario, row.revision)
    )
    return f"{_SECTIONS[profile]}\n{_COLUMNS}{''.join(map(_line, rows))}"


def _line(row: Row) -> str:
    needed = "yes" if row.scenario in required(row.revision) else "no"
    return f"| {row.scenario} | {row.revision} | {needed} | {row.result} | {row.note} |\n"


def called_passed(profile: str, text: str) -> set[tuple[str, str]]:
    """Return scenario and revision of what the file says is passed."""
    _, _, section = text.partition(_SECTIONS[profile].partition("\n")[0])
    section = section.partition("\n## ")[0]
    return {(scenario, revision) for scenario, revision, result in _ROW.findall(section) if result == PASSED}
