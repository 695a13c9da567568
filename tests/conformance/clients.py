"""The commands of docs/clients.md, as a reader would run them."""

import asyncio
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx2

from demo.browser import Browser, Visitor
from demo.inbox import newest_password
from demo.parts import Addresses
from tests.conformance.node import node
from tests.conformance.suite import HERE
from tests.support.system import JOHN

DOC: Final = Path(__file__).parents[2] / "docs" / "clients.md"
SECONDS: Final = 60.0
_BLOCK: Final = re.compile(
    r"<!-- (?P<name>[\w-]+) -->\n```\w+\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Example:
    """A command or program, and parts of what it prints, in their order."""

    code: str
    output: tuple[str, ...]


def examples(addresses: Addresses | None = None) -> dict[str, Example]:
    """Return what the page has to run, with the addresses of a running system in place of the usual ones."""
    text = DOC.read_text()
    if addresses is not None:
        text = text.replace("http://127.0.0.1:8080", addresses.gateway)
        text = text.replace("http://127.0.0.1:8090", addresses.authserver)
    return {
        found["name"]: Example(found["code"], tuple((found["output"] or "").splitlines()))
        for found in _BLOCK.finditer(text)
    }


def unnamed_blocks() -> list[str]:
    """Return the code of the page that no name leads to."""
    rest = _BLOCK.sub("", DOC.read_text())
    return re.findall(r"```(?!text)\w+\n.*?```", rest, re.DOTALL)


def environment(directory: Path, token: str | None) -> dict[str, str]:
    """Return an environment with our Node.js, nothing of the user's, and no browser to open."""
    program = node()
    path = (
        os.environ["PATH"] if program is None else f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
    )
    given = {
        "PATH": path,
        "HOME": str(directory),
        "MCP_REMOTE_CONFIG_DIR": str(directory / "mcp-auth"),
        "BROWSER": "true",
        "MCP_AUTO_OPEN_ENABLED": "false",
        # What is run is what is locked; a package that is missing is an error, not a download.
        "npm_config_offline": "true",
    }
    return given | ({} if token is None else {"TOKEN": token})


async def started(
    *arguments: str, directory: Path, token: str | None, cwd: Path = HERE
) -> asyncio.subprocess.Process:
    """Start a program with pipes to talk to it; what it complains of is part of what it says."""
    return await asyncio.create_subprocess_exec(
        *arguments,
        cwd=cwd,
        env=environment(directory, token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1024 * 1024,
        # A group of its own, to be ended as one: npx does not pass a signal on.
        start_new_session=True,
    )


async def end(process: asyncio.subprocess.Process) -> None:
    """End a program and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    async with asyncio.timeout(SECONDS):
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    """Return all that a program says until its end."""
    output = b""
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    finally:
        await end(process)
    return output.decode()


async def authorized(process: asyncio.subprocess.Process, addresses: Addresses) -> str:
    """Play the user: go where the program says, sign in, agree, and return to the port it listens on."""
    heard: list[str] = []
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        while line := (await process.stdout.readline()).decode():
            heard.append(line)
            found = re.search(rf"{re.escape(addresses.issuer)}/authorize\?\S+", line)
            if found is None:
                continue
            await sign_in(found[0], addresses)
            return "".join(heard)
    raise AssertionError("it sent nobody to the authorization server: " + "".join(heard))


async def sign_in(authorization_url: str, addresses: Addresses) -> None:
    """Walk through the pages, and bring the answer to the client as a browser would."""
    (redirect_uri,) = parse_qs(urlsplit(authorization_url).query)["redirect_uri"]
    visitor = Visitor(JOHN, partial(newest_password, addresses.inbox))
    async with Browser(redirect_uri) as browser:
        answer = await visitor.go(browser, authorization_url)
    async with httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(30.0)) as http:
        assert (await http.get(answer.url)).status_code == 200


def assert_says(output: str, example: Example) -> None:
    """The output holds the lines that the page shows, in their order."""
    rest = output
    for line in example.output:
        assert line.strip() in rest, f"{line.strip()!r} is not (any more) in the output:\n{output}"
        rest = rest.partition(line.strip())[2]
