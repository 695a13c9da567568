"""A real master with a replica, watched by three real Sentinels, on loopback."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.redis_server import RedisServer, free_port, server_binary

MASTER: Final = "delegant"
PASSWORD: Final = "p@ss/word"
DOWN_AFTER_MILLISECONDS: Final = 500
FAILOVER_TIMEOUT_MILLISECONDS: Final = 3000
FORMATION_SECONDS: Final = 30.0
SENTINELS: Final = 3


@dataclass
class Watched:
    """Two nodes, of which the Sentinels call one the master."""

    nodes: list[RedisServer] = field(default_factory=list[RedisServer])
    _ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(SENTINELS)])
    _sentinels: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    _directory: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory[str])

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"redis+sentinel://:p%40ss%2Fword@{hosts}/{MASTER}/0"

    def form(self) -> None:
        """Start everything; on return the replica is in step, and the Sentinels know it and each other."""
        secret = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
        first = RedisServer(arguments=secret)
        second = RedisServer(arguments=(*secret, "--replicaof", "127.0.0.1", str(first.port)))
        self.nodes = [first, second]
        for node in self.nodes:
            node.start()
        _wait(lambda: self.client(second).info("replication").get("master_link_status") == "up")
        self._sentinels = [self._sentinel(port, first.port) for port in self._ports]
        _wait(lambda: all(self._sees_everybody(port) for port in self._ports))

    def client(self, node: RedisServer) -> Any:
        return cast(Any, Redis(port=node.port, password=PASSWORD))

    def master(self) -> RedisServer:
        """Return the node that the first Sentinel calls the master."""
        with cast(Any, Redis(port=self._ports[0])) as sentinel:
            _, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(node for node in self.nodes if node.port == int(port))

    def discard(self) -> None:
        for process in self._sentinels:
            process.kill()
            process.wait()
        for node in self.nodes:
            node.discard()
        self._directory.cleanup()

    def _sentinel(self, port: int, master: int) -> subprocess.Popen[bytes]:
        lines = (
            "bind 127.0.0.1",
            f"port {port}",
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2",
            f'sentinel auth-pass {MASTER} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {MASTER} {FAILOVER_TIMEOUT_MILLISECONDS}",
        )
        configuration = Path(self._directory.name) / f"{port}.conf"
        configuration.write_text("\n".join(lines) + "\n")
        command = [server_binary(), str(configuration), "--sentinel"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _sees_everybody(self, port: int) -> bool:
        try:
            with cast(Any, Redis(port=port)) as sentinel:
                state = sentinel.sentinel_master(MASTER)
        except RedisConnectionError:
            return False
        return (state["num-slaves"], state["num-other-sentinels"]) == (1, SENTINELS - 1)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + FORMATION_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "master, replica and Sentinels do not come together"
        time.sleep(0.05)
