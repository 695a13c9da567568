"""`python -m demo` as a process of its own, and what may be left of it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually

START_SECONDS = 90.0


def is_running(pid: int) -> bool:
    """Tell whether a process is there and not merely waiting to be reaped."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def pids_with(directory: Path) -> list[int]:
    """Return the processes that name the directory in their command line or environment."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            known = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in known and is_running(int(entry.name)):
            found.append(int(entry.name))
    return found


@dataclass(slots=True)
class Demo:
    """A demo whose temporary files are all in one place."""

    process: asyncio.subprocess.Process
    directory: Path
    state_file: Path
    output: Path

    @property
    def state(self) -> dict[str, Any]:
        """What the state file says."""
        return json.loads(self.state_file.read_text())

    @property
    def pids(self) -> list[int]:
        """The processes of the parts."""
        return [entry["pid"] for entry in self.state["processes"].values()]

    async def is_up(self) -> None:
        """Wait for the state file, which appears when everything is ready."""
        await eventually(
            lambda: self.state_file.exists() or self.process.returncode is not None,
            within_seconds=START_SECONDS,
        )
        assert self.process.returncode is None, self.output.read_text()

    async def ends(self, *, within_seconds: float) -> int:
        """Wait for its end and return the exit status."""
        return await asyncio.wait_for(self.process.wait(), within_seconds)

    def leaves_nothing(self) -> bool:
        """Tell whether no process and no file is left."""
        return not list(self.directory.iterdir()) and not pids_with(self.directory)


@asynccontextmanager
async def demo(tmp_path: Path, *arguments: str) -> AsyncGenerator[Demo]:
    """Start a demo, and make sure that it is gone in the end."""
    directory = tmp_path / "tmp"
    directory.mkdir(parents=True)
    state_file, output = tmp_path / "state.json", tmp_path / "output"
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    with output.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "demo",
            "--state",
            str(state_file),
            *arguments,
            env=environment | {"TMPDIR": str(directory)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield Demo(process, directory, state_file, output)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()
