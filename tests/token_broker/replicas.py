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
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN
from tests.support.eventually import eventually
from tests.support.issuer import ISSUER, ec_key
from tests.support.listening import listening
from tests.support.redis_server import free_port
from tests.token_broker.conftest import API, GATEWAY_KEY, OPERATOR_KEY, RESOURCE, URL, public
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker.sealing import base64url


@dataclass
class Replica:
    """One process. Its key at the authorization server tells it from the others."""

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
                return await self.http.post(replica.url + "/token", data=form | self.signer.parameters(URL))
            except httpx.TransportError:
                continue
        raise AssertionError("no replica answered")

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
        replicas = [_start(key, environment, directory) for key in keys]
        for replica in replicas:
            stack.callback(replica.kill)
        await eventually(lambda: all(replica.alive() for replica in replicas), within_seconds=60)
        http = pooled_client(timeout_seconds=60, max_connections=512)
        yield Fleet(replicas, server, await stack.enter_async_context(http))


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
        "BROKER_URL": URL,
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


def _start(key: ECKey, environment: dict[str, str], directory: Path) -> Replica:
    port = free_port()
    own = {"BROKER_PORT": str(port), "BROKER_CLIENT_KEY": json.dumps(key.as_dict(private=True))}
    with (directory / f"{key.kid}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "token_broker"], env=environment | own, stdout=log, stderr=log
        )
    return Replica(key, f"http://127.0.0.1:{port}", process)
