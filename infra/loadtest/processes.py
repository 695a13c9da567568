"""The measured server: a process of its own, on a core of its own where there are two."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
INHERITED: Final = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"})


class ProcessError(Exception):
    """A server did not start, or its CPU time cannot be read here."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that accepts connections."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time that all its threads have used, to the nanosecond.

        Raises:
            ProcessError: this system does not tell.
        """
        # The clock of another process, as Linux numbers them: Python has no clock_getcpuclockid(3).
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            raise ProcessError("the CPU time of another process can be read on Linux only") from None


@contextmanager
def serving(
    module: str, *arguments: str, port: int, environment: Mapping[str, str], log: Path
) -> Generator[ServerProcess]:
    """Run `python -m module` while the block lasts.

    Raises:
        ProcessError: it does not accept connections within `START_SECONDS`.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and servers
            [sys.executable, "-m", module, *arguments],
            env={**_inherited(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _keep_apart(process.pid)
        _await_start(process, port, log)
        yield ServerProcess(process.pid, port)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a loopback port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251  handed on, not read
        if name in INHERITED
    }


def _keep_apart(pid: int) -> None:
    """Give the server the last core and this process the others."""
    if sys.platform != "linux":
        return
    cores = sorted(os.sched_getaffinity(0) | os.sched_getaffinity(pid))
    if len(cores) > 1:
        os.sched_setaffinity(pid, cores[-1:])
        os.sched_setaffinity(0, cores[:-1])


def _await_start(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ProcessError("the server did not start:\n" + log.read_text(errors="replace")[-4000:])
