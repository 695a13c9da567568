"""A real Redis Cluster on loopback: three masters, and as many replicas of the first as a test wants."""

import socket
import time
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis

from tests.support.redis_server import RedisServer, free_port

SLOTS = 16384
MASTERS = 3
BUS_OFFSET = 10000
NODE_TIMEOUT_MILLISECONDS = 1000
FORMATION_SECONDS = 30.0


@dataclass
class Cluster:
    """Its nodes are processes. The first masters have the lower slots."""

    nodes: list[RedisServer] = field(default_factory=list[RedisServer])

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def form(self, *, replicas_of: int | None = None) -> None:
        """Start it; on return all slots are served, and the replica of that master has its data."""
        self.nodes = [_node() for _ in range(MASTERS + (replicas_of is not None))]
        clients = [_client(node) for node in self.nodes]
        for number, client in enumerate(clients[:MASTERS]):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            slots = range(number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS)
            client.execute_command("CLUSTER", "ADDSLOTS", *slots)
        for node in self.nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        _wait(lambda: all(self._knows_everybody(client) for client in clients))
        if replicas_of is not None:
            master = clients[replicas_of].execute_command("CLUSTER", "MYID").decode()
            clients[-1].execute_command("CLUSTER", "REPLICATE", master)
            _wait(lambda: clients[-1].info("replication").get("master_link_status") == "up")
        _wait(lambda: all(_state(client) == "ok" for client in clients))
        for client in clients:
            client.close()

    def master_of(self, key: str) -> int:
        """Return the number of the node that has a key."""
        client = _client(self.nodes[0])
        slot = int(client.execute_command("CLUSTER", "KEYSLOT", key))
        client.close()
        return next(number for number in range(MASTERS) if slot < (number + 1) * SLOTS // MASTERS)

    def discard(self) -> None:
        for node in self.nodes:
            node.discard()

    def _knows_everybody(self, client: Any) -> bool:
        return int(client.cluster("INFO")["cluster_known_nodes"]) == len(self.nodes)


def _node() -> RedisServer:
    arguments = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MILLISECONDS))
    node = RedisServer(_port_with_bus(), arguments=arguments)
    node.start()
    return node


def _port_with_bus() -> int:
    while True:
        port = free_port()
        with socket.socket() as bus:
            try:
                bus.bind(("127.0.0.1", port + BUS_OFFSET))
            except (OSError, OverflowError):
                continue
            return port


def _client(node: RedisServer) -> Any:
    return cast(Any, Redis(port=node.port))


def _state(client: Any) -> str:
    return client.cluster("INFO")["cluster_state"]


def _wait(holds: Any) -> None:
    deadline = time.monotonic() + FORMATION_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "the cluster does not form"
        time.sleep(0.05)
