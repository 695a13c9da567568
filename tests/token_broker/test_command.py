"""`python -m token_broker` as people and scripts use it."""

import asyncio
import json
import os
import secrets
import signal
import stat
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.key_ring import base64url
from tests.support.listening import listening
from tests.token_broker.conftest import BROKER_KEY, GATEWAY_KEY, OPERATOR_KEY, URL, public
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker.app import create_app
from token_broker.client_auth import Right
from token_broker.command import run
from token_broker.sealing import parse_keys
from token_broker.settings import CallerSettings, Settings


@dataclass
class Operator:
    """Runs the command at a broker and keeps what it wrote."""

    broker: str
    key_file: Path
    read: Callable[[], tuple[str, str]]

    async def __call__(self, *arguments: str, client: str = "operator") -> tuple[int, str, str]:
        common = (
            "--broker",
            self.broker,
            "--audience",
            URL,
            "--key",
            str(self.key_file),
            "--client-id",
            client,
        )
        status = await asyncio.to_thread(run, ["delegations", arguments[0], *common, *arguments[1:]])
        return status, *self.read()


@pytest.fixture
async def operator(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncGenerator[Operator]:
    """An operator, and three delegations of two users."""
    key_file = tmp_path / "operator.json"
    key_file.write_text(json.dumps(OPERATOR_KEY.as_dict(private=True)))
    server = FakeAuthorizationServer(system_clock, [BROKER_KEY])
    callers = settings.callers | {
        "revoker": CallerSettings(jwks=public(OPERATOR_KEY), operator=frozenset[Right]({"revoke"}))
    }
    app = create_app(settings.model_copy(update={"callers": callers}), transport=server.transport())
    now = system_clock()
    async with listening(app) as url:
        for number, name in enumerate(("one", "two", "three")):
            claims = {"iat": now, "nbf": now, "exp": now + 600 + number, "sub": f"user-{number % 2}"}
            server.knows(name, delegationId=name, client_id="agent\x1b[2J", **claims)
            await _exchange(url, name)
        yield Operator(url, key_file, lambda: (lambda both: (both.out, both.err))(capsys.readouterr()))


async def _exchange(url: str, token: str) -> None:
    signer = ClientAssertionSigner("mcp-gateway", GATEWAY_KEY.as_dict(private=True), now=system_clock)
    async with httpx.AsyncClient() as http:
        answer = await http.post(url + "/introspect", data={"token": token} | signer.parameters(URL))
    assert answer.json()["active"]


async def test_delegations_are_listed_for_people(operator: Operator) -> None:
    status, out, err = await operator("list")
    assert (status, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split() == ["ID", "USER", "CLIENT", "AUDIENCES", "CREATED", "LAST", "USED", "EXPIRES"]
    assert [row.split()[0] for row in rows] == ["one", "two", "three"]
    # A client chose its name; the terminal does not obey it.
    assert "\x1b" not in out
    assert "agent?[2J" in out


async def test_delegations_are_listed_for_programs(operator: Operator) -> None:
    status, out, _ = await operator("list", "--json")
    document = json.loads(out)
    assert status == 0
    assert [one["id"] for one in document["delegations"]] == ["one", "two", "three"]
    assert document["more"] is False
    user = document["delegations"][0]["user"]
    _, out, _ = await operator("list", "--json", "--user", user)
    assert [one["id"] for one in json.loads(out)["delegations"]] == ["one", "three"]


async def test_a_list_that_is_cut_says_so(operator: Operator) -> None:
    _, out, err = await operator("list", "--limit", "2")
    assert len(out.splitlines()) == 3
    assert "There are more" in err
    _, _, err = await operator("list", "--limit", "3")
    assert err == ""


async def test_a_delegation_is_shown_and_revoked_and_gone(operator: Operator) -> None:
    status, out, _ = await operator("show", "two")
    assert (status, out.split()[:2]) == (0, ["id", "two"])
    assert json.loads((await operator("show", "two", "--json"))[1])["id"] == "two"
    assert await operator("revoke", "two", "one") == (0, "revoked two\nrevoked one\n", "")
    status, out, err = await operator("show", "two")
    assert (status, out) == (1, "")
    assert "404 not_found" in err
    assert [one["id"] for one in json.loads((await operator("list", "--json"))[1])["delegations"]] == [
        "three"
    ]


async def test_who_may_only_revoke_is_told_what_is_missing(operator: Operator) -> None:
    status, out, err = await operator("list", client="revoker")
    assert (status, out) == (1, "")
    assert "403 access_denied" in err
    assert "`operator` in BROKER_CALLERS" in err
    assert (await operator("revoke", "one", client="revoker"))[0] == 0


async def test_an_unknown_client_is_told_where_to_look(operator: Operator) -> None:
    status, _, err = await operator("list", client="nobody")
    assert status == 1
    assert "401 invalid_client" in err
    assert "--audience" in err


async def test_a_broker_that_is_away_is_named(operator: Operator) -> None:
    operator.broker = "http://127.0.0.1:9"
    status, out, err = await operator("list")
    assert (status, out) == (1, "")
    assert err.startswith("the broker at http://127.0.0.1:9 cannot be asked: ")


async def test_something_that_is_no_broker_is_called_so(operator: Operator) -> None:
    async def page(_: Request) -> Response:
        return Response("<html>", media_type="text/html")

    async with listening(Starlette(routes=[Route("/{path:path}", page)])) as url:
        operator.broker = url
        status, _, err = await operator("list")
    assert status == 1
    assert "no token broker" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["delegations", "list"], "OPERATOR_BROKER_URL"),
        (["delegations", "list", "--broker", "x", "--key", "/nowhere"], "OPERATOR_KEY_FILE: "),
        (["delegations", "list", "--limit", "0"], "--limit"),
        (["delegations"], "ACTION"),
        (["delegate"], "invalid choice"),
        (["profile", "check", "nowhere"], "BROKER_PROFILE"),
    ],
)
def test_wrong_arguments_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    for name in [name for name in os.environ if name.startswith("OPERATOR_")]:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["delegations"],
        ["delegations", "list"],
        ["delegations", "show"],
        ["delegations", "revoke"],
        ["keys"],
        ["keys", "list"],
        ["keys", "rotate"],
        ["profile"],
        ["profile", "check"],
    ],
)
def test_everything_has_a_help(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run([*arguments, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m token_broker" in capsys.readouterr().out


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    file = tmp_path / "sealing-key"
    file.write_text(base64url(secrets.token_bytes(32)))
    file.chmod(0o640)
    return file


def test_a_rotation_puts_the_new_key_first_and_says_what_comes_next(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = parse_keys(ring.read_text())
    assert run(["keys", "rotate", str(ring), "--delay-seconds", "60"]) == 0
    new, kept = parse_keys(ring.read_text())
    assert (kept, new.seals_from - system_clock()) == (old, pytest.approx(60, abs=5))
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{new.id}  new: opens now, seals from " in said.err
    assert "sealing keys: 2 open" in said.err
    assert base64url(new.octets) not in said.err
    assert stat.S_IMODE(ring.stat().st_mode) == 0o640
    assert [file.name for file in ring.parent.iterdir()] == [ring.name]
    assert run(["keys", "list", str(ring)]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        [old.id, "seals"],
        [new.id, "opens,"],
    ]


def test_a_second_rotation_waits_for_the_first(ring: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "rotate", str(ring)]) == 0
    before = ring.read_text()
    assert run(["keys", "rotate", str(ring)]) == 1
    assert ring.read_text() == before
    assert "not rotated: key" in capsys.readouterr().err


def test_a_rotation_follows_a_link_and_leaves_it(ring: Path) -> None:
    link = ring.with_name("link")
    link.symlink_to(ring)
    assert run(["keys", "rotate", str(link)]) == 0
    assert link.is_symlink()
    assert len(parse_keys(ring.read_text())) == 2


def test_a_rotation_goes_through_a_pipe(
    ring: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ring.open() as given:
        monkeypatch.setattr(sys, "stdin", given)
        assert run(["keys", "rotate", "-"]) == 0
    assert len(parse_keys(capsys.readouterr().out)) == 2


@pytest.mark.parametrize(
    ("content", "said"), [("", "no sealing key"), ("x y", "is not 32 bytes"), (None, "No such file")]
)
def test_what_is_no_ring_is_not_rotated(
    ring: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    ring.unlink() if content is None else ring.write_text(content)
    assert run(["keys", "rotate", str(ring)]) == 1
    assert said in capsys.readouterr().err


def test_the_ring_of_the_settings_is_meant_if_none_is_named(
    ring: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "rotate"]) == 1
    assert "BROKER_SEALING_KEY_FILE" in capsys.readouterr().err
    monkeypatch.setenv("BROKER_SEALING_KEY_FILE", str(ring))
    assert run(["keys", "rotate"]) == 0


async def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def hang(_: Request) -> Response:
        asked.set()
        await over.wait()
        return Response()

    key_file = tmp_path / "operator.json"
    key_file.write_text(json.dumps(OPERATOR_KEY.as_dict(private=True)))
    async with listening(Starlette(routes=[Route("/{path:path}", hang)])) as url:
        command = ("-m", "token_broker", "delegations", "list", "--broker", url, "--key", str(key_file))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 10)
        over.set()
    assert (process.returncode, out) == (130, b"")
