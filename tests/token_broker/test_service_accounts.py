"""Kubernetes workloads as callers: their projected token is the client assertion."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from tests.support.issuer import NOW, Clock, Issuer, ec_key
from tests.support.redis_server import RedisServer
from tests.token_broker.conftest import API, RESOURCE, URL, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from tests.token_broker.test_faults import commanding, recovered
from token_broker.service_accounts import BearerFromFile
from token_broker.settings import CallerSettings, Settings

CLUSTER = "https://kubernetes.default.svc.cluster.local"
JWKS = "https://kubernetes.default.svc/openid/v1/jwks"
GATEWAY = "system:serviceaccount:delegant:mcp-gateway"


@pytest.fixture
def cluster() -> Issuer:
    return Issuer(CLUSTER, ec_key("cluster"))


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, cluster: Issuer) -> Settings:
    keys = tmp_path / "jwks.json"
    keys.write_bytes(cluster.jwks())
    workload = CallerSettings(
        service_accounts=frozenset({GATEWAY}),
        resource=RESOURCE,
        audiences=frozenset({API}),
        scopes=frozenset({"stocks/read"}),
    )
    changes = {
        "callers": settings.callers | {"workload": workload},
        "service_account_issuer": CLUSTER,
        "service_account_jwks_file": keys,
    }
    return settings.model_copy(update=changes)


def projected(cluster: Issuer, **changes: Any) -> dict[str, str]:
    """The form parameters of a pod that presents its token."""
    claims: dict[str, Any] = {
        "aud": [URL],
        "sub": GATEWAY,
        "exp": NOW + 3600,
        "kubernetes.io": {"namespace": "delegant", "serviceaccount": {"name": "mcp-gateway"}},
    }
    token = cluster.sign({"typ": "JWT"}, **(claims | changes))
    return {"client_assertion_type": CLIENT_ASSERTION_JWT_BEARER, "client_assertion": token}


async def test_a_workload_calls_with_its_projected_token_again_and_again(
    broker: Broker, server: FakeAuthorizationServer, token: str, cluster: Issuer
) -> None:
    server.knows(token)
    credentials = projected(cluster)
    for _ in range(3):
        assert (await broker.exchange(token, credentials=credentials)).status_code == 200
    assert (
        await broker.introspect(token, credentials=credentials | {"client_id": "workload"})
    ).status_code == 200


@pytest.mark.parametrize("setting", ["min-replicas-to-write", "maxmemory"])
async def test_a_workload_is_served_by_no_redis_that_cannot_be_written_to(
    start: Start,
    server: FakeAuthorizationServer,
    own_redis: RedisServer,
    token: str,
    cluster: Issuer,
    setting: str,
) -> None:
    server.knows(token)
    broker, credentials = await start(redis_url=SecretStr(own_redis.url)), projected(cluster)
    assert (await broker.exchange(token, credentials=credentials)).status_code == 200
    with commanding(own_redis) as redis:
        # As a master that was cut off from its only replica; or one that is full.
        redis.config_set(setting, "1")
        for _ in range(2):
            for answer in (
                await broker.exchange(token, credentials=credentials),
                await broker.introspect(token, credentials=credentials),
            ):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        redis.config_set(setting, "0")
    await recovered(broker, token, credentials)
    assert (server.introspections, server.exchanges) == (1, 1)


async def test_a_workload_gets_what_its_caller_is_configured_for_and_no_more(
    broker: Broker, server: FakeAuthorizationServer, token: str, cluster: Issuer
) -> None:
    server.knows(token, scope="stocks/read stocks/trade")
    credentials = projected(cluster)
    elsewhere = await broker.exchange(token, audience="https://reports.demo.example", credentials=credentials)
    assert elsewhere.json()["error"] == "invalid_target"
    wider = await broker.exchange(token, scope="stocks/trade", credentials=credentials)
    assert wider.json()["error"] == "invalid_scope"
    headers = {"authorization": "Bearer " + credentials["client_assertion"]}
    assert (await broker.http.get("/delegations", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "system:serviceaccount:delegant:another"},
        {"sub": "system:serviceaccount:other:mcp-gateway"},
        {"aud": ["https://kubernetes.default.svc"]},
        {"aud": [URL, "https://elsewhere.test"]},
        {"iss": "https://another-cluster.test"},
        {"exp": NOW - 60},
        {"exp": NOW + 365 * 24 * 3600},
        {"exp": None},
        {"nbf": NOW + 600},
    ],
)
async def test_another_token_of_the_cluster_proves_nothing(
    broker: Broker, server: FakeAuthorizationServer, token: str, cluster: Issuer, changes: dict[str, Any]
) -> None:
    server.knows(token)
    response = await broker.introspect(token, credentials=projected(cluster, **changes))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert server.introspections == 0


async def test_a_token_of_nobodys_key_or_for_another_name_proves_nothing(
    broker: Broker, token: str, cluster: Issuer
) -> None:
    forged = projected(Issuer(CLUSTER, ec_key("cluster")))
    assert (await broker.introspect(token, credentials=forged)).status_code == 401
    posing = projected(cluster) | {"client_id": "mcp-gateway"}
    assert (await broker.introspect(token, credentials=posing)).status_code == 401


async def test_the_cluster_does_not_speak_for_callers_with_keys_of_their_own(
    broker: Broker, token: str, cluster: Issuer
) -> None:
    for changes in ({"sub": "mcp-gateway"}, {"sub": "mcp-gateway", "iss": "mcp-gateway", "exp": NOW + 60}):
        assert (await broker.introspect(token, credentials=projected(cluster, **changes))).status_code == 401


async def test_a_caller_of_both_kinds_may_prove_itself_either_way(
    start: Start, server: FakeAuthorizationServer, settings: Settings, token: str, cluster: Issuer
) -> None:
    server.knows(token)
    both = settings.callers["mcp-gateway"].model_copy(update={"service_accounts": frozenset({GATEWAY})})
    broker = await start(callers={"mcp-gateway": both})
    assert (await broker.introspect(token)).status_code == 200
    assert (await broker.introspect(token, credentials=projected(cluster))).status_code == 200


async def test_keys_are_asked_for_with_a_token_that_is_read_each_time(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200)

    file = tmp_path / "token"
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=BearerFromFile(file))
    async with client:
        with pytest.raises(httpx.RequestError):
            await client.get(JWKS)
        for content in ("one", "two\n"):
            file.write_text(content)
            await client.get(JWKS)
    assert seen == ["Bearer one", "Bearer two"]


async def test_keys_of_the_cluster_that_cannot_be_fetched_are_nobodys_fault(
    start: Start, server: FakeAuthorizationServer, token: str, cluster: Issuer, clock: Clock
) -> None:
    server.issuer.fail = lambda: httpx.Response(500)
    # The test's network has one host: its JWKS stands for the cluster's.
    broker = await start(service_account_jwks_file=None, service_account_jwks_uri="https://login.test/jwks")
    response = await broker.introspect(token, credentials=projected(cluster))
    assert response.status_code == 503


@pytest.mark.parametrize(
    ("caller", "environment", "said"),
    [
        ({}, {}, "needs jwks or service_accounts"),
        ({"service_accounts": ["mcp-gateway"]}, {}, "must be system:serviceaccount"),
        ({"service_accounts": [GATEWAY]}, {}, "BROKER_SERVICE_ACCOUNT_ISSUER"),
        (
            {"service_accounts": [GATEWAY]},
            {
                "service_account_issuer": CLUSTER,
                "service_account_jwks_uri": "http://kubernetes.default.svc/x",
            },
            "must be https",
        ),
    ],
)
def test_settings_that_could_prove_nobody_stop_the_start(
    settings: Settings, caller: dict[str, Any], environment: dict[str, Any], said: str
) -> None:
    told = {"service_account_issuer": "", "service_account_jwks_file": None} | environment
    with pytest.raises(ValidationError, match=said):
        told_of({"workload": caller | {"resource": RESOURCE}}, settings, told)


def test_one_service_account_is_one_caller(settings: Settings) -> None:
    twice = {name: {"service_accounts": [GATEWAY], "resource": RESOURCE} for name in ("a", "b")}
    with pytest.raises(ValidationError, match="is two callers"):
        told_of(twice, settings, {})


def told_of(callers: dict[str, Any], settings: Settings, changes: dict[str, Any]) -> Settings:
    told: dict[str, Any] = settings.model_dump(exclude={"otlp_endpoint"})
    told |= changes | {"callers": json.dumps(callers)}
    return Settings(**told)
