"""Enterprise-managed authorization: ID-JAG by the jwt-bearer grant (RFC 7523)."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from authcore.oauth2_types import GRANT_JWT_BEARER
from tests.authserver.server import API, ISSUER, JANE, JOHN, MCP, AuthServer, Json, public_jwks, serving
from tests.support.issuer import JWKS_URI, NOW, Issuer, ec_key

AGENT, OTHER = "enterprise-agent", "other-agent"
KEY = ec_key("agent")
IDP = Issuer()
PROVIDER = {"issuer": IDP.issuer, "jwks_uri": JWKS_URI, "subjects": {"00u1": JANE}}
CLIENTS: list[Json] = [
    {"client_id": name, "jwks": public_jwks(KEY), "grant_types": [GRANT_JWT_BEARER]}
    for name in (AGENT, OTHER)
] + [{"client_id": "token-broker", "jwks": public_jwks(KEY), "grant_types": [], "introspection": True}]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    async with serving(
        tmp_path, transport=IDP.transport(), broker_key=KEY, clients=CLIENTS, identity_provider=PROVIDER
    ) as running:
        yield running


def assertion(header: Json | None = None, **changes: Any) -> str:
    claims: Json = {
        "aud": ISSUER,
        "client_id": AGENT,
        "sub": "00u9",
        "email": JOHN,
        "exp": NOW + 300,
        "scope": None,
        "jti": "1",
        "delegationId": None,
    }
    return IDP.sign({"typ": "oauth-id-jag+jwt"} | (header or {}), **(claims | changes))


async def redeem(server: AuthServer, text: str, client: str = AGENT, **form: str) -> httpx.Response:
    proof = server.assertion(client_id=client, key=KEY)
    return await server.post("token", {"grant_type": GRANT_JWT_BEARER, "assertion": text, **proof, **form})


@pytest.mark.requirement("as-enterprise")
async def test_an_agent_gets_a_token_for_the_user_it_was_let_in_for(server: AuthServer) -> None:
    answer = (await redeem(server, assertion())).json()
    assert "refresh_token" not in answer
    claims = (await server.introspect(answer["access_token"])).json()
    assert (claims["client_id"], claims["region"], claims["aud"]) == (AGENT, "USA", MCP)
    assert (claims["scope"], claims["client_assurance_level"]) == ("stocks/read", 2)
    metadata = (await server.http.get(f"{ISSUER}/.well-known/openid-configuration")).json()
    assert GRANT_JWT_BEARER in metadata["grant_types_supported"]
    profiles = metadata["authorization_grant_profiles_supported"]
    assert profiles == ["urn:ietf:params:oauth:grant-profile:id-jag"]


async def test_a_subject_can_stand_for_a_user_whatever_its_email_claim_says(server: AuthServer) -> None:
    token = (await redeem(server, assertion(sub="00u1"))).json()["access_token"]
    assert (await server.introspect(token)).json()["region"] == "Europe"


async def test_scope_and_resource_stay_within_the_assertion(server: AuthServer) -> None:
    narrowed = await redeem(server, assertion(scope="stocks"), scope="stocks/trade")
    assert narrowed.json()["scope"] == "stocks/trade"
    wider = await redeem(server, assertion(scope="stocks/read", jti="2"), scope="stocks")
    assert wider.json()["error"] == "invalid_scope"
    assert (await redeem(server, assertion(resource=MCP, jti="3"))).status_code == 200
    elsewhere = await redeem(server, assertion(resource=API, jti="4"))
    assert elsewhere.json()["error"] == "invalid_target"
    swapped = await redeem(server, assertion(resource=MCP, jti="5"), resource=API)
    assert swapped.json()["error"] == "invalid_target"


async def test_an_assertion_is_good_once(server: AuthServer) -> None:
    once = assertion()
    assert (await redeem(server, once)).status_code == 200
    assert (await redeem(server, once)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [
        assertion({"typ": "JWT"}),
        assertion({"typ": "at+jwt"}),
        assertion(aud="https://elsewhere.example"),
        assertion(aud=[ISSUER, "https://elsewhere.example"]),
        assertion(iss="https://evil.example"),
        assertion(client_id=OTHER),
        assertion(client_id=None),
        assertion(exp=NOW - 60),
        assertion(exp=NOW + 3600),
        assertion(exp=None),
        assertion(jti=None),
        assertion(email="nobody@demo.example"),
        assertion(email=None),
        assertion(email_verified=False),
        assertion(resource=[1]),
        Issuer(key=ec_key("k1")).sign({"typ": "oauth-id-jag+jwt"}, aud=ISSUER, client_id=AGENT, email=JOHN),
        "nonsense",
    ],
)
async def test_an_assertion_that_says_something_else_is_refused(server: AuthServer, wrong: str) -> None:
    response = await redeem(server, wrong)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


async def test_a_stolen_assertion_is_of_no_use_to_another_client(server: AuthServer) -> None:
    assert (await redeem(server, assertion(), OTHER)).json()["error"] == "invalid_grant"


async def test_a_provider_that_is_away_is_no_verdict(tmp_path: Path) -> None:
    away = httpx.MockTransport(lambda _: httpx.Response(503))
    async with serving(tmp_path, transport=away, clients=CLIENTS, identity_provider=PROVIDER) as server:
        response = await redeem(server, assertion())
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")


async def test_without_a_provider_there_is_no_such_grant(tmp_path: Path) -> None:
    async with serving(tmp_path, clients=CLIENTS) as server:
        assert (await redeem(server, assertion())).json()["error"] == "unsupported_grant_type"
        metadata = (await server.http.get(f"{ISSUER}/.well-known/openid-configuration")).json()
        assert GRANT_JWT_BEARER not in metadata["grant_types_supported"]
        assert "authorization_grant_profiles_supported" not in metadata
