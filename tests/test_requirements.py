"""The manifest and the tests agree."""

import ast
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.requirements import REQUIREMENTS

TESTS = Path(__file__).parent


def markers() -> Iterator[tuple[Path, list[ast.expr]]]:
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "requirement"
            ):
                yield path, node.args


def shown() -> dict[str, set[Path]]:
    found: dict[str, set[Path]] = {}
    for path, arguments in markers():
        match arguments:
            case [ast.Constant(value=str(requirement))]:
                found.setdefault(requirement, set()).add(path)
            case _:
                raise AssertionError(f"{path}: a marker names one requirement, in plain words")
    return found


def test_every_id_that_a_test_names_exists() -> None:
    assert {name: paths for name, paths in shown().items() if name not in REQUIREMENTS} == {}


def test_every_requirement_is_shown_by_a_test_or_says_why_not() -> None:
    silent = {name for name, requirement in REQUIREMENTS.items() if requirement.divergence is None}
    assert silent - set(shown()) == set()


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_requirement_says_where_it_is_written_and_what_follows(name: str) -> None:
    requirement = REQUIREMENTS[name]
    source = urlsplit(requirement.source)
    assert (source.scheme, bool(source.netloc)) == ("https", True)
    assert len(requirement.behaviour) > 20
    assert requirement.divergence is None or len(requirement.divergence) > 40
