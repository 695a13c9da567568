"""What reviewers would otherwise have to look for."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for part in ("libs", "services", "infra", "tests")
    for path in (ROOT / part).rglob("*.py")
    if not {".venv", "node_modules"} & set(path.parts)
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_350_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


def test_only_the_validator_constructs_verified_tokens() -> None:
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if "tests" not in path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "VerifiedToken"
    }
    assert makers == {"libs/authcore/validator.py"}
