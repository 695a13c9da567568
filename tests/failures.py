"""What callers see when something fails: the table in docs/failures.md, made from the tests that show it.

A test that makes something fail says so: `@pytest.mark.failure("Redis is killed", "503 …", "by itself")`.
`python -m tests.failures` writes the table.
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
TABLE: Final = TESTS.parent / "docs" / "failures.md"

_HEAD: Final = """\
# When something fails

What a caller of the token broker sees, and how it ends. A 503 is `temporarily_unavailable` with `Retry-After`
and never a verdict on a token. Every row is a test; `make failures` writes this file, and a test keeps it
complete.

| what fails | what a caller sees | recovery | test |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """One thing that fails, and the test that makes it."""

    what: str
    seen: str
    recovery: str
    module: str
    test: str


def failures() -> list[Failure]:
    """Return all failures that tests name."""
    found: list[Failure] = []
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                module = path.relative_to(TESTS.parent).as_posix()
                found += [
                    Failure(*texts, module, node.name) for texts in map(_marker, node.decorator_list) if texts
                ]
    return sorted(found)


def _marker(decorator: ast.expr) -> tuple[str, str, str] | None:
    match decorator:
        case ast.Call(
            func=ast.Attribute(attr="failure"),
            args=[
                ast.Constant(value=str(what)),
                ast.Constant(value=str(seen)),
                ast.Constant(value=str(recovery)),
            ],
        ):
            return what, seen, recovery
        case _:
            return None


def table() -> str:
    """Return the document."""
    rows = [
        f"| {failure.what} | {failure.seen} | {failure.recovery} | "
        f"[{failure.test.removeprefix('test_').replace('_', ' ')}](../{failure.module}) |\n"
        for failure in failures()
    ]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    TABLE.write_text(table())
    sys.stdout.write(f"{TABLE}: {len(failures())} failures\n")
