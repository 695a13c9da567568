"""What fails, what a caller sees of it, and for how long: the rows of docs/failures.md."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from asgi_lifespan import LifespanManager
from pydantic import SecretStr
from redis import Redis

from authcore.clock import monotonic
from tests.support.certificates import Authority
from tests.support.issuer import Clock
from tests.support.redis_server import RedisServer, free_port
from tests.token_broker.conftest import URL, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from tests.token_broker.test_revocation import end
from token_broker.app import create_app
from token_broker.settings import Settings

REDIS_BOUND_SECONDS = 3.0
"""One second for Redis; the rest is for a busy machine."""


@pytest.fixture
async def broker(start: Start, own_redis: RedisServer) -> Broker:
    return await start(
        redis_url=SecretStr(own_redis.url), redis_timeout_seconds=0.5, http_deadline_seconds=1.0
    )


async def unavailable(broker: Broker, token: str, *, retry_after: int, within_seconds: float) -> None:
    """Every question about a token is answered alike, in time, and gives nothing away."""
    for ask in (
        broker.introspect(token),
        broker.introspect(token, accept="application/json"),
        broker.exchange(token),
    ):
        began = monotonic()
        response = await ask
        assert monotonic() - began < within_seconds
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.headers["retry-after"] == str(retry_after)
        assert "www-authenticate" not in response.headers


async def known(broker: Broker, server: FakeAuthorizationServer, token: str, **claims: object) -> None:
    server.knows(token, **claims)
    assert (await broker.exchange(token)).status_code == 200


async def recovered(broker: Broker, token: str, credentials: dict[str, str] | None = None) -> None:
    async with asyncio.timeout(10):
        while (await broker.exchange(token, credentials=credentials)).status_code != 200:
            pass


def commanding(server: RedisServer) -> Any:
    return cast(Any, Redis(port=server.port))


@pytest.mark.failure(
    "Redis is killed", "503, `Retry-After: 2`, within a second", "by itself, once Redis is back"
)
async def test_a_killed_redis(
    broker: Broker, server: FakeAuthorizationServer, own_redis: RedisServer, token: str
) -> None:
    await known(broker, server, token)
    await asyncio.to_thread(own_redis.kill)
    await unavailable(broker, token, retry_after=2, within_seconds=REDIS_BOUND_SECONDS)
    await asyncio.to_thread(own_redis.start)
    await recovered(broker, token)


@pytest.mark.failure("Redis hangs", "503, `Retry-After: 2`, within a second", "by itself, once Redis goes on")
async def test_a_frozen_redis(
    broker: Broker, server: FakeAuthorizationServer, own_redis: RedisServer, token: str
) -> None:
    await known(broker, server, token)
    own_redis.freeze()
    await unavailable(broker, token, retry_after=2, within_seconds=REDIS_BOUND_SECONDS)
    own_redis.thaw()
    await recovered(broker, token)


@pytest.mark.failure(
    "Redis is flushed",
    "200: the authorization server is asked again; what was ended here is refused where it was heard",
    "none: tombstones are lost, and a replica that begins later believes the authorization server",
)
async def test_a_flushed_redis(
    broker: Broker, start: Start, server: FakeAuthorizationServer, own_redis: RedisServer, token: str
) -> None:
    await known(broker, server, token, delegationId="living")
    await known(broker, server, token + "2", delegationId="ended")
    assert (await end(broker, "ended")).status_code == 204
    asked = (server.introspections, server.exchanges)
    with commanding(own_redis) as redis:
        redis.flushall()
    assert (await broker.exchange(token)).status_code == 200
    assert (server.introspections, server.exchanges) == (asked[0] + 1, asked[1] + 1)
    assert (await broker.exchange(token + "2")).json()["error"] == "invalid_grant"
    late = await start(redis_url=SecretStr(own_redis.url))
    assert (await late.exchange(token + "2")).status_code == 200


@pytest.mark.failure(
    "Redis cannot be written to (a replica)",
    "503, `Retry-After: 2`, within a second",
    "by itself, once it is a master",
)
async def test_a_read_only_redis(
    broker: Broker, server: FakeAuthorizationServer, own_redis: RedisServer, token: str
) -> None:
    await known(broker, server, token)
    with commanding(own_redis) as redis:
        redis.replicaof("127.0.0.1", free_port())
        await unavailable(broker, token, retry_after=2, within_seconds=REDIS_BOUND_SECONDS)
        assert (await end(broker, "d1")).status_code == 503
        redis.replicaof("NO", "ONE")
    await recovered(broker, token)


@pytest.mark.failure(
    "Redis is full (`noeviction`)",
    "503, `Retry-After: 2`, within a second",
    "by itself, once there is memory",
)
async def test_a_full_redis(
    broker: Broker, server: FakeAuthorizationServer, own_redis: RedisServer, token: str
) -> None:
    await known(broker, server, token)
    with commanding(own_redis) as redis:
        redis.config_set("maxmemory", "1")
        await unavailable(broker, token, retry_after=2, within_seconds=REDIS_BOUND_SECONDS)
        assert (await end(broker, "d1")).status_code == 503
        redis.config_set("maxmemory", "0")
    await recovered(broker, token)


async def upstream_trouble(
    broker: Broker, server: FakeAuthorizationServer, token: str, within_seconds: float = 2.0
) -> None:
    """A new token is answered with 503, a known one as before; afterwards the new one is served."""
    trouble = server.on_introspect
    server.on_introspect = None
    await known(broker, server, token)
    server.on_introspect = trouble
    fresh = server.knows(token + "2")
    await unavailable(broker, fresh, retry_after=5, within_seconds=within_seconds)
    assert (await broker.exchange(token)).status_code == 200
    server.on_introspect = None
    await recovered(broker, fresh)


@pytest.mark.failure(
    "The authorization server answers 500",
    "503, `Retry-After: 5`; known tokens 200",
    "by itself, at the next call",
)
async def test_an_authorization_server_that_answers_500(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.on_introspect = lambda: httpx.Response(500)
    await upstream_trouble(broker, server, token)


@pytest.mark.failure(
    "The authorization server answers garbage",
    "503, `Retry-After: 5`; known tokens 200",
    "by itself, at the next call",
)
async def test_an_authorization_server_that_answers_garbage(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.on_introspect = lambda: httpx.Response(
        200, content=b"{", headers={"content-type": "application/json"}
    )
    await upstream_trouble(broker, server, token)


@pytest.mark.failure(
    "The authorization server answers with more than 64 KiB",
    "503, `Retry-After: 5`; known tokens 200; no more is read",
    "by itself, at the next call",
)
async def test_an_authorization_server_that_does_not_stop_answering(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.on_introspect = lambda: httpx.Response(
        200, text="a" * 70_000, headers={"content-type": "application/jwt"}
    )
    await upstream_trouble(broker, server, token)


@pytest.mark.failure(
    "The authorization server does not answer",
    "503, `Retry-After: 5`, after `BROKER_HTTP_DEADLINE_SECONDS`; known tokens 200",
    "by itself, at the next call",
)
async def test_a_slow_authorization_server(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    await known(broker, server, token)
    fresh = server.knows(token + "2")
    server.may_answer.clear()
    await unavailable(broker, fresh, retry_after=5, within_seconds=4.0)
    assert (await broker.exchange(token)).status_code == 200
    server.may_answer.set()
    await recovered(broker, fresh)


@pytest.mark.failure(
    "The authorization server issues a token for another audience",
    "503, `Retry-After: 5`; the token goes nowhere, an error is logged",
    "by itself, at the next call",
)
async def test_a_token_for_another_audience(
    broker: Broker, server: FakeAuthorizationServer, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.knows(token)
    server.exchanged_claims = {"aud": "https://elsewhere.example"}
    response = await broker.exchange(token)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["error"] == "temporarily_unavailable"
    assert [record.levelname for record in caplog.records if "was refused: the exchanged" in record.message]
    server.exchanged_claims = {}
    await recovered(broker, token)


@pytest.fixture
async def impostor(tmp_path: Path) -> AsyncGenerator[str]:
    """A server whose certificate nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).issue("impostor"))
    port = free_port()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=context):
        yield f"https://127.0.0.1:{port}"


@pytest.mark.failure(
    "The authorization server's certificate is not acceptable",
    "503, `Retry-After: 5`; nothing is sent there",
    "by itself, once the certificate is good",
)
async def test_an_authorization_server_with_a_wrong_certificate(
    settings: Settings, clock: Clock, impostor: str, token: str
) -> None:
    changes = {
        name: f"{impostor}/{name}" for name in ("jwks_uri", "introspection_endpoint", "token_endpoint")
    }
    app = create_app(settings.model_copy(update=changes), now=clock)
    async with (
        LifespanManager(app) as running,
        httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url=URL) as http,
    ):
        await unavailable(Broker(http, clock), token, retry_after=5, within_seconds=4.0)
