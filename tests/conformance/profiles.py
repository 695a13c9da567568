"""The two servers that the MCP conformance suite runs against, through the proxy that adds the token.

Production is the gateway as it ships. The other has the suite's own tools behind the same guard.
"""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from demo.parts import GATEWAY, MCP_PATH
from demo.processes import PartProcess
from demo.stack import Stack, StackOptions, running_stack
from tests.conformance.bearer_proxy import bearer_proxy
from tests.support.redis_server import free_port
from tests.support.system import JOHN, System

PRODUCTION: Final = "production"
FIXTURES: Final = "fixtures"
PROFILES: Final = (PRODUCTION, FIXTURES)
ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Profiles:
    """A running system with both servers."""

    stack: Stack
    token: str
    servers: dict[str, int]
    proxies: dict[str, int]

    @asynccontextmanager
    async def reached(self, profile: str) -> AsyncGenerator[str]:
        """Yield a URL under which the server of a profile needs no token, until the block ends."""
        async with bearer_proxy(self.proxies[profile], self.servers[profile], self.token):
            yield f"http://127.0.0.1:{self.proxies[profile]}{MCP_PATH}"


@asynccontextmanager
async def running_profiles(logs: Path) -> AsyncGenerator[Profiles]:
    """Run the whole system, and the second gateway beside the first; real processes, a real user's token."""
    servers = {profile: free_port() for profile in PROFILES}
    proxies = {profile: free_port() for profile in PROFILES}
    options = StackOptions(
        ports={GATEWAY: servers[PRODUCTION]},
        logs=logs,
        log_level="debug",
        extra={GATEWAY: _reached_at(servers[PRODUCTION], proxies[PRODUCTION])},
    )
    async with running_stack(options) as stack:
        gateway = stack.processes[GATEWAY]
        stack.processes[FIXTURES] = PartProcess(
            FIXTURES,
            (sys.executable, "-m", "tests.conformance.fixture_gateway"),
            {
                **gateway.environment,
                **_reached_at(servers[FIXTURES], proxies[FIXTURES]),
                "GATEWAY_PORT": str(servers[FIXTURES]),
                "PYTHONPATH": str(ROOT),
            },
            logs / "fixtures.log",
            f"http://127.0.0.1:{servers[FIXTURES]}",
            gateway.group,
        )
        await stack.start(FIXTURES)
        async with httpx2.AsyncClient(trust_env=False) as http:
            token = await System(stack, http).token(JOHN)
        yield Profiles(stack, token, servers, proxies)


def _reached_at(*ports: int) -> dict[str, str]:
    hosts = [f"127.0.0.1:{port}" for port in ports]
    return {
        "GATEWAY_ALLOWED_HOSTS": json.dumps(hosts),
        "GATEWAY_ALLOWED_ORIGINS": json.dumps([f"http://{host}" for host in hosts]),
    }
