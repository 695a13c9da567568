"""The manifest and the tests agree."""

import ast
from pathlib import Path

from tests.requirements import REQUIREMENTS

TESTS = Path(__file__).parent


def shown() -> set[str]:
    ids: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="requirement"), args=[ast.Constant(value=str(requirement))]
                ):
                    ids.add(requirement)
                case _:
                    pass
    return ids


def test_every_requirement_is_shown_by_a_test_and_every_id_exists() -> None:
    assert shown() == set(REQUIREMENTS)
