"""Replicas of the broker as processes of their own, on one Redis and one authorization server that counts."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.http_client import pooled_client
from authcore.key_ring import base64url
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN
from tests.support.eventually import eventually
from tests.support.issuer import ISSUER, ec_key
from tests.support.listening import listening
from tests.support.redis_server import free_port
from tests.token_broker.conftest import API, GATEWAY_KEY, OPERATOR_KEY, RESOURCE, public
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer


@dataclass
class Replica:
    """One process. A broker's key at the authorization server tells it from the others."""

    key: ECKey
    url: str
    process: subprocess.Popen[bytes]

    def alive(self) -> bool:
        try:
            return httpx.get(self.url + "/livez").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()


@dataclass
class Fleet:
    """The replicas, and a caller that goes to the next one when one is gone, as a load balancer would."""

    replicas: list[Replica]
    issuer_url: str
    """Where the authorization server is reached."""
    server: FakeAuthorizationServer
    http: httpx.AsyncClient
    signer: ClientAssertionSigner = field(
        default_factory=lambda: ClientAssertionSigner(
            "mcp-gateway", GATEWAY_KEY.as_dict(private=True), now=system_clock
        )
    )

    async def exchange(self, token: str, first: int) -> httpx.Response:
        """Ask for a token for the API, at this replica first."""
        for number in range(first, first + len(self.replicas)):
            form = {
                "grant_type": GRANT_TOKEN_EXCHANGE,
                "subject_token": token,
                "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
                "audience": API,
                "scope": "stocks/read",
            }
            replica = self.replicas[number % len(self.replicas)]
            try:
                return await self.http.post(
                    replica.url + "/token", data=form | self.signer.parameters(replica.url)
                )
            except httpx.TransportError:
                continue
        raise AssertionError("no replica answered")

    async def revoke(self, token: str, at: Replica) -> None:
        form = {"token": token} | self.signer.parameters(at.url)
        response = await self.http.post(at.url + "/revoke", data=form)
        assert response.status_code == 200

    def knows(self, token: str, **claims: object) -> None:
        now = system_clock()
        self.server.knows(token, **({"iat": now, "nbf": now, "exp": now + 600} | claims))


@asynccontextmanager
async def fleet(redis_url: str, directory: Path, *, size: int, **settings: str) -> AsyncGenerator[Fleet]:
    """Start so many replicas; on entering they answer."""
    keys = [ec_key(f"broker-{number}") for number in range(size)]
    server = FakeAuthorizationServer(system_clock, keys)
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(listening(_served(server)))
        environment = _environment(base, redis_url) | settings
        replicas = [_broker(key, environment, directory) for key in keys]
        await _ready(replicas, stack)
        http = pooled_client(timeout_seconds=60, max_connections=512)
        yield Fleet(replicas, base, server, await stack.enter_async_context(http))


def _served(server: FakeAuthorizationServer) -> Starlette:
    async def answer(request: Request) -> Response:
        asked = httpx.Request(
            request.method,
            ISSUER + request.url.path,
            headers=request.headers.raw,
            content=await request.body(),
        )
        response = await server.respond(asked)
        return Response(response.content, response.status_code, dict(response.headers))

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def _environment(base: str, redis_url: str) -> dict[str, str]:
    gateway = {
        "jwks": public(GATEWAY_KEY),
        "resource": RESOURCE,
        "audiences": [API],
        "scopes": ["stocks/read"],
    }
    operator = {"jwks": public(OPERATOR_KEY), "operator": True}
    return {
        "PATH": os.environ["PATH"],
        "BROKER_ISSUER": ISSUER,
        "BROKER_JWKS_URI": base + "/jwks",
        "BROKER_INTROSPECTION_ENDPOINT": base + "/introspect",
        "BROKER_TOKEN_ENDPOINT": base + "/token",
        "BROKER_SEALING_KEY": base64url(secrets.token_bytes(32)),
        "BROKER_REDIS_URL": redis_url,
        # A busy machine is not what these tests are about.
        "BROKER_REDIS_TIMEOUT_SECONDS": "10",
        "BROKER_CALLERS": json.dumps({"mcp-gateway": gateway, "operator": operator}),
        "BROKER_LOG_LEVEL": "warning",
    }


def _broker(key: ECKey, environment: dict[str, str], directory: Path) -> Replica:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {
        "BROKER_PORT": str(port),
        "BROKER_URL": url,
        "BROKER_CLIENT_KEY": json.dumps(key.as_dict(private=True)),
    }
    return Replica(key, url, _process("token_broker", environment | own, directory / f"{key.kid}.log"))


@asynccontextmanager
async def gateways(brokers: Fleet, redis_url: str, directory: Path) -> AsyncGenerator[list[Replica]]:
    """Start a gateway for each broker; on entering they answer."""
    key_file = directory / "gateway-key.json"
    key_file.write_text(json.dumps(GATEWAY_KEY.as_dict(private=True)))
    started: list[Replica] = []
    for number, broker in enumerate(brokers.replicas):
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "GATEWAY_PORT": str(port),
            "GATEWAY_RESOURCE": RESOURCE,
            "GATEWAY_ALLOWED_HOSTS": json.dumps([f"127.0.0.1:{port}"]),
            "GATEWAY_ISSUER": ISSUER,
            "GATEWAY_JWKS_URI": brokers.issuer_url + "/jwks",
            "GATEWAY_BROKER_URL": broker.url,
            "GATEWAY_BROKER_CLIENT_KEY_FILE": str(key_file),
            "GATEWAY_API_URL": "http://127.0.0.1:9",
            "GATEWAY_API_AUDIENCE": API,
            "GATEWAY_REDIS_URL": redis_url,
            "GATEWAY_LOG_LEVEL": "warning",
        }
        process = _process("mcp_gateway", environment, directory / f"gateway-{number}.log")
        started.append(Replica(GATEWAY_KEY, f"http://127.0.0.1:{port}", process))
    async with AsyncExitStack() as stack:
        await _ready(started, stack)
        yield started


async def _ready(replicas: list[Replica], stack: AsyncExitStack) -> None:
    for replica in replicas:
        stack.callback(replica.kill)
    await eventually(lambda: all(replica.alive() for replica in replicas), within_seconds=90)


def _process(module: str, environment: dict[str, str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=log, stderr=log)
