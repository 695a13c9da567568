"""The parts as operating system processes: started, watched, ended."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo import minder

POLL_SECONDS: Final = 0.02
TAIL_BYTES: Final = 4096
INHERITED: Final = frozenset(
    {"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"}
)
INHERITED_PREFIXES: Final = ("OTEL_", "LC_")


def inherited_environment() -> dict[str, str]:
    """Return what every part gets of our own environment: where things are, never configuration of ours."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251  handed on, not read
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }


@dataclass(slots=True)
class PartProcess:
    """One part of the system. The same object survives stopping and starting again.

    Nothing in it belongs to an event loop, so that a part started in one may be stopped in another.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    url: str
    group: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.exit_code is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: the signal), or `None` while it runs or before its first start."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start it. Output is appended to the log."""
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and server
                self.arguments,
                env=inherited_environment() | dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Not the terminal's foreground group: Ctrl-C is for us, and we pass it on once.
                process_group=self.group,
            )

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    async def ended(self, timeout_seconds: float) -> bool:
        """Wait for its end, and tell whether it came in time."""
        deadline = time.monotonic() + timeout_seconds
        while self.running:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def tail(self) -> str:
        """Return the last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-20:])


async def stop_all(parts: list[PartProcess], *, grace_seconds: float) -> None:
    """End the parts: SIGTERM to all at once, and SIGKILL to those still there after the grace."""
    for part in parts:
        part.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    for part in parts:
        if not await part.ended(max(0.0, deadline - time.monotonic())):
            part.signal(signal.SIGKILL)
            await part.ended(grace_seconds)


class Minder:
    """Keeps the promise that nothing stays behind, even if we are killed (see `demo.minder`)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and script
            [sys.executable, "-I", "-S", minder.__file__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            process_group=0,
        )

    @property
    def group(self) -> int:
        """The process group that parts join."""
        return self._process.pid

    def close(self) -> None:
        """Remove the directory, and end the minder with whatever is left in its group."""
        shutil.rmtree(self._directory, ignore_errors=True)
        os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
