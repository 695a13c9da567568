"""Clients that act for nobody but themselves (RFC 6749 §4.4)."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from authcore.oauth2_types import GRANT_CLIENT_CREDENTIALS, GRANT_TOKEN_EXCHANGE, MEDIA_TYPE_JWT
from authserver.database import open_database
from authserver.schema import sweep
from tests.authserver.server import API, BROKER, MCP, OTHER_API, AuthServer, Json, public_jwks, serving
from tests.support.issuer import ec_key

JOB = "nightly-job"
KEY = ec_key("job")
BROKER_KEY = ec_key("broker")
CLIENTS: list[Json] = [
    {
        "client_id": BROKER,
        "jwks": public_jwks(BROKER_KEY),
        "grant_types": [GRANT_TOKEN_EXCHANGE],
        "introspection": True,
        "audiences": [API],
    },
    {"client_id": JOB, "jwks": public_jwks(KEY), "grant_types": [GRANT_CLIENT_CREDENTIALS]},
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    async with serving(tmp_path, broker_key=BROKER_KEY, clients=CLIENTS) as running:
        yield running


async def ask(server: AuthServer, **changes: str | None) -> httpx.Response:
    proof = server.assertion(client_id=JOB, key=KEY)
    return await server.post("token", {"grant_type": GRANT_CLIENT_CREDENTIALS, **proof} | changes)


@pytest.mark.requirement("as-client-credentials")
async def test_the_token_speaks_of_the_client_and_of_no_user(server: AuthServer) -> None:
    answer = (await ask(server)).json()
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 900, "stocks/read")
    assert "refresh_token" not in answer
    phantom = (await server.introspect(answer["access_token"], MEDIA_TYPE_JWT)).text
    claims = (await server.verified(phantom)).claims
    assert (claims["sub"], claims["client_id"], claims["aud"]) == (JOB, JOB, MCP)
    assert claims["client_assurance_level"] == 2
    assert claims["delegationId"]
    assert "region" not in claims


async def test_its_exchange_has_no_region_either(server: AuthServer) -> None:
    token = (await ask(server)).json()["access_token"]
    derived = (await server.exchange(token)).json()["access_token"]
    claims = (await server.verified(derived)).claims
    assert (claims["sub"], claims["act"], claims["aud"]) == (JOB, {"sub": BROKER}, API)
    assert "region" not in claims
    assert (await server.introspect(derived)).json()["active"] is True


@pytest.mark.parametrize("scope", ["stocks", "stocks/trade", "stocks/read stocks/trade", "admin"])
async def test_what_only_a_user_can_allow_is_refused(server: AuthServer, scope: str) -> None:
    assert (await ask(server, scope=scope)).json()["error"] == "invalid_scope"


async def test_a_resource_that_is_not_the_clients_is_refused(server: AuthServer) -> None:
    assert (await ask(server, resource=MCP)).status_code == 200
    for resource in (API, OTHER_API):
        assert (await ask(server, resource=resource)).json()["error"] == "invalid_target"


async def test_only_clients_that_are_configured_for_it_may(server: AuthServer) -> None:
    refused = await ask(server, **server.assertion())
    assert refused.json()["error"] == "unauthorized_client"
    client = await server.register(
        token_endpoint_auth_method="client_secret_post",
        grant_types=["authorization_code", GRANT_CLIENT_CREDENTIALS],
    )
    form: Json = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    refused = await server.post("token", {"grant_type": GRANT_CLIENT_CREDENTIALS, **form})
    assert refused.json()["error"] == "unauthorized_client"


async def test_it_can_give_its_token_back(server: AuthServer) -> None:
    token = (await ask(server)).json()["access_token"]
    await server.post("revoke", {"token": token, **server.assertion(client_id=JOB, key=KEY)})
    assert (await server.introspect(token)).json() == {"active": False}


async def test_what_was_nobodys_is_not_kept_as_a_users_record(server: AuthServer) -> None:
    await ask(server)
    async with open_database(server.state_files()[0]) as database:
        await sweep(database, server.clock() + 900)
        assert len(await database.all("SELECT 1 FROM delegations")) == 1
        await sweep(database, server.clock() + 3601)
        assert await database.all("SELECT 1 FROM delegations") == []
