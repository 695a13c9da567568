"""The attacks that tests try on the authorization server, and the table of them in docs/attacks.md.

A test that plays an attack says so: `@pytest.mark.attack("RFC 9700 §4.5", "inject a code")`, with the section
that asks for the defence. `python -m tests.attacks` writes the table.
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
TABLE: Final = TESTS.parent / "docs" / "attacks.md"

_HEAD: Final = """\
# Attacks on the authorization server

Every row is a test that tries the attack and sees it fail; the section is the one that asks for the defence.
CIMD is the Internet-Draft on OAuth Client ID Metadata Documents. `make attacks` writes this file, and a test
keeps it complete.

| the attacker wants to | defended by | test |
|---|---|---|
"""


@dataclass(frozen=True, slots=True, order=True)
class Attack:
    """One attack and the test that tries it."""

    section: str
    wanted: str
    module: str
    test: str


def attacks() -> list[Attack]:
    """Return all attacks that tests name."""
    found: list[Attack] = []
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [
                    Attack(section, wanted, path.relative_to(TESTS.parent).as_posix(), node.name)
                    for section, wanted in map(_marker, node.decorator_list)
                    if section
                ]
    return sorted(found)


def _marker(decorator: ast.expr) -> tuple[str, str]:
    match decorator:
        case ast.Call(
            func=ast.Attribute(attr="attack"),
            args=[ast.Constant(value=str(section)), ast.Constant(value=str(wanted))],
        ):
            return section, wanted
        case _:
            return "", ""


def table() -> str:
    """Return the document."""
    rows = [
        f"| {attack.wanted} | {attack.section} | [{attack.test.removeprefix('test_').replace('_', ' ')}]"
        f"(../{attack.module}) |\n"
        for attack in attacks()
    ]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    TABLE.write_text(table())
    sys.stdout.write(f"{TABLE}: {len(attacks())} attacks\n")
