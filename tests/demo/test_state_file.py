import json
import stat
from pathlib import Path

import pytest

from demo import state_file
from demo.parts import Addresses
from demo.processes import PartProcess
from demo.stack import Stack, StackError

PORTS = {"gateway": 1, "broker": 2, "stocks": 3, "authserver": 4}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    part = PartProcess("gateway", ("true",), {}, tmp_path / "gateway.log", "http://127.0.0.1:1", 0)
    addresses = Addresses.on(PORTS, redis="redis://:secret@127.0.0.1:5/0")
    return Stack(addresses, tmp_path, {"gateway": part}, "secret", 1.0)


def test_the_document_says_where_everything_is(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    state_file.write(path, stack)
    assert json.loads(path.read_text()) == {
        "version": 1,
        "mcp": "http://127.0.0.1:1/mcp",
        "issuer": "http://127.0.0.1:4/oauth/v2/oauth-anonymous",
        "inbox": "http://127.0.0.1:4/inbox",
        "api": "http://127.0.0.1:3",
        "broker": "http://127.0.0.1:2",
        "ca": None,
        "redis": "redis://:secret@127.0.0.1:5/0",
        "processes": {
            "gateway": {"pid": None, "log": str(tmp_path / "gateway.log"), "url": "http://127.0.0.1:1"}
        },
    }


def test_the_file_is_private_and_replaces_an_older_one_in_one_go(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    state_file.write(path, stack)
    assert json.loads(path.read_text())["version"] == state_file.VERSION
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_what_is_shown_of_a_stack_holds_no_password(stack: Stack) -> None:
    assert "secret" not in repr(stack)


async def test_a_part_that_is_not_ours_cannot_be_stopped(stack: Stack) -> None:
    with pytest.raises(StackError, match="redis is not one of ours: gateway"):
        await stack.stop("redis")
