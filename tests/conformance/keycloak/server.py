"""A Keycloak of our own on loopback, with nothing kept: `async with running(home, directory) as keycloak`."""

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.conformance.keycloak.realm import REALM
from tests.support.eventually import eventually
from tests.support.redis_server import free_port

START_SECONDS = 180.0
STOP_SECONDS = 20.0
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Keycloak:
    """Where it is, and how to administer it."""

    url: str
    password: str = field(repr=False)

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/{REALM}"

    @property
    def endpoints(self) -> str:
        return f"{self.issuer}/protocol/openid-connect"

    async def create(self, http: httpx2.AsyncClient, realm: dict[str, Any]) -> None:
        """Create the realm."""
        response = await http.post(f"{self.url}/admin/realms", json=realm, headers=await self._admin(http))
        assert response.status_code == 201, response.text

    async def end_sessions(self, http: httpx2.AsyncClient, email: str) -> None:
        """Log a user out everywhere, as an administrator would."""
        headers, base = await self._admin(http), f"{self.url}/admin/realms/{REALM}/users"
        found = await http.get(base, params={"username": email, "exact": "true"}, headers=headers)
        response = await http.post(f"{base}/{found.json()[0]['id']}/logout", headers=headers)
        assert response.status_code == 204, response.text

    async def _admin(self, http: httpx2.AsyncClient) -> dict[str, str]:
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": ADMIN,
            "password": self.password,
        }
        endpoint = f"{self.url}/realms/master/protocol/openid-connect/token"
        response = await http.post(endpoint, data=form)
        assert response.status_code == 200, response.text
        return {"authorization": f"Bearer {response.json()['access_token']}"}


@asynccontextmanager
async def running(home: Path, logs: Path) -> AsyncGenerator[Keycloak]:
    """Start it, wait until it answers, and end it with its children."""
    port, management, password = free_port(), free_port(), secrets.token_urlsafe(16)
    arguments = [
        str(home / "bin" / "kc.sh"),
        "start-dev",
        *("--http-host=127.0.0.1", f"--http-port={port}", f"--http-management-port={management}"),
        *("--db=dev-mem", "--cache=local", f"--hostname=http://127.0.0.1:{port}"),
    ]
    admin = {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": password}
    with logs.open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  returns at once
            arguments,
            env=os.environ | admin,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Its shell script starts a JVM, which starts another: they end together.
            start_new_session=True,
        )
    keycloak = Keycloak(f"http://127.0.0.1:{port}", password)
    try:
        await _ready(process, keycloak, logs)
        yield keycloak
    finally:
        await asyncio.to_thread(_end, process)


async def _ready(process: subprocess.Popen[bytes], keycloak: Keycloak, logs: Path) -> None:
    def listening() -> bool:
        assert process.poll() is None, logs.read_text()[-4000:]
        with suppress(httpx2.HTTPError):
            return httpx2.get(f"{keycloak.url}/realms/master", trust_env=False).status_code == 200
        return False

    await eventually(listening, within_seconds=START_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
