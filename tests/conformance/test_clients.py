"""The clients that people use, run by the commands of docs/clients.md."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import clients
from tests.conformance.clients import (
    SECONDS,
    Example,
    assert_says,
    authorized,
    end,
    examples,
    said,
    started,
)
from tests.conformance.profiles import ROOT, Profiles

RUN_WITH_A_TOKEN = ("inspector-list", "inspector-call", "console-call", "curl")
RUN_OTHERWISE = {
    "token",
    "inspector-web",
    "inspector-anonymous",
    "claude-desktop",
    "mcp-remote",
    "console-list",
    "python",
}


def test_every_command_of_the_page_is_run_here() -> None:
    assert set(examples()) == {*RUN_WITH_A_TOKEN} | RUN_OTHERWISE
    assert clients.unnamed_blocks() == []


@pytest.mark.parametrize("name", RUN_WITH_A_TOKEN)
async def test_a_client_that_is_given_a_token(profiles: Profiles, tmp_path: Path, name: str) -> None:
    if name == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    example = examples(profiles.stack.addresses)[name]
    process = await started("bash", "-ec", example.code, directory=tmp_path, token=profiles.token)
    output = await said(process)
    assert process.returncode == 0, output
    assert_says(output, example)


async def test_the_command_for_a_token_gets_one(profiles: Profiles, tmp_path: Path) -> None:
    example = examples(profiles.stack.addresses)["token"]
    code = example.code.replace(".venv/bin/python", sys.executable) + "printf %s $TOKEN"
    output = await said(await started("bash", "-ec", code, directory=tmp_path, token=None, cwd=ROOT))
    assert len(output.strip()) == len(profiles.token), output


async def test_the_inspector_says_what_is_missing(profiles: Profiles, tmp_path: Path) -> None:
    example = examples(profiles.stack.addresses)["inspector-anonymous"]
    process = await started("bash", "-ec", example.code, directory=tmp_path, token=None)
    output = await said(process)
    assert process.returncode != 0
    assert_says(output, example)


async def test_the_inspectors_page_is_served(packages: None, tmp_path: Path) -> None:
    command = "exec " + examples()["inspector-web"].code
    process = await started("bash", "-ec", command, directory=tmp_path, token=None)
    assert process.stdout is not None
    heard = ""
    try:
        async with asyncio.timeout(SECONDS):
            while "6274" not in heard and (line := (await process.stdout.readline()).decode()):
                heard += line
    finally:
        await end(process)
    if "in use" in heard.lower():
        pytest.skip("another inspector is running")
    assert "http://" in heard, heard
    assert "6274" in heard


@pytest.mark.parametrize("name", ["console-list", "mcp-remote"])
async def test_a_client_that_authorizes_itself(profiles: Profiles, tmp_path: Path, name: str) -> None:
    addresses = profiles.stack.addresses
    example = examples(addresses)[name]
    process = await started("bash", "-ec", "exec " + example.code, directory=tmp_path, token=None)
    await authorized(process, addresses)
    output = await said(process)
    assert process.returncode == 0, output
    assert_says(output, example)


async def test_what_claude_desktop_starts_lists_and_calls(profiles: Profiles, tmp_path: Path) -> None:
    addresses = profiles.stack.addresses
    server = json.loads(examples(addresses)["claude-desktop"].code)["mcpServers"]["delegant"]
    process = await started(server["command"], *server["args"], directory=tmp_path, token=None)
    assert process.stdin is not None
    told = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "desktop", "version": "1"},
    }
    try:
        process.stdin.write(message("initialize", 1, told))
        await authorized(process, addresses)
        assert (await answer(process, 1))["serverInfo"]["name"] == "delegant"
        process.stdin.write(message("notifications/initialized", None, {}))
        process.stdin.write(message("tools/list", 2, {}))
        assert "fetch-stock-prices" in [tool["name"] for tool in (await answer(process, 2))["tools"]]
        process.stdin.write(message("tools/call", 3, {"name": "fetch-stock-prices", "arguments": {}}))
        stocks = (await answer(process, 3))["structuredContent"]["stocks"]
        assert [stock["id"] for stock in stocks] == ["COM1", "COM4"]
    finally:
        await end(process)


def message(method: str, number: int | None, params: dict[str, Any]) -> bytes:
    envelope = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(envelope if number is None else envelope | {"id": number}).encode() + b"\n"


async def answer(process: asyncio.subprocess.Process, number: int) -> dict[str, Any]:
    """The result with this id, among what else the program says."""
    assert process.stdout is not None
    heard = b""
    async with asyncio.timeout(SECONDS):
        while line := await process.stdout.readline():
            heard += line
            if line.startswith(b"{") and (found := json.loads(line)).get("id") == number:
                return found["result"]
    raise AssertionError(heard.decode())


async def test_the_python_program_of_the_page_runs(profiles: Profiles, tmp_path: Path) -> None:
    example = examples(profiles.stack.addresses)["python"]
    program = tmp_path / "client.py"
    program.write_text(example.code)
    process = await started(sys.executable, str(program), directory=tmp_path, token=profiles.token)
    output = await said(process)
    assert process.returncode == 0, output
    assert_says(output, example)


def test_a_line_that_is_not_printed_any_more_is_noticed() -> None:
    with pytest.raises(AssertionError, match="not \\(any more\\) in the output"):
        assert_says("two\none\n", Example("", ("one", "two")))
