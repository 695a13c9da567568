"""Refresh tokens, where policy allows them (RFC 6749 §6, RFC 9700 §4.14)."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt

from authcore.oauth2_types import GRANT_AUTHORIZATION_CODE, GRANT_REFRESH_TOKEN
from authserver.policy import POLICY
from tests.authserver.server import API, VERIFIER, AuthServer, Json, serving
from tests.support.issuer import ec_key

GRANTS = frozenset({GRANT_AUTHORIZATION_CODE, GRANT_REFRESH_TOKEN})
REFRESHING = replace(POLICY, agent_grant_types=GRANTS)
DAY = 24 * 3600


@pytest.fixture
async def refreshing(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    async with serving(tmp_path, policy=REFRESHING) as running:
        yield running


async def first_tokens(server: AuthServer, **changes: Any) -> tuple[str, Json]:
    client_id = (await server.register(grant_types=sorted(GRANTS)))["client_id"]
    response = await server.redeem(client_id, await server.code(client_id, **changes))
    return client_id, response.json()


async def refresh(
    server: AuthServer, client_id: str, token: str, /, dpop: str | None = None, **changes: str | None
) -> httpx.Response:
    form = {"grant_type": GRANT_REFRESH_TOKEN, "client_id": client_id, "refresh_token": token} | changes
    return await server.post("token", form, **({} if dpop is None else {"dpop": dpop}))


async def active(server: AuthServer, token: str) -> bool:
    return (await server.introspect(token)).json()["active"]


async def test_the_shipped_policy_has_none(server: AuthServer) -> None:
    client_id, tokens = await first_tokens(server)
    assert "refresh_token" not in tokens
    assert (await refresh(server, client_id, "x")).json()["error"] == "unsupported_grant_type"
    metadata = (await server.http.get(f"{server.issuer}/.well-known/openid-configuration")).json()
    assert GRANT_REFRESH_TOKEN not in metadata["grant_types_supported"]


async def test_a_client_that_did_not_ask_for_them_gets_none(refreshing: AuthServer) -> None:
    client_id = (await refreshing.register(grant_types=[GRANT_AUTHORIZATION_CODE]))["client_id"]
    response = await refreshing.redeem(client_id, await refreshing.code(client_id))
    assert "refresh_token" not in response.json()


@pytest.mark.requirement("as-short-tokens")
async def test_each_use_gives_another_token_under_the_same_delegation(refreshing: AuthServer) -> None:
    server = refreshing
    metadata = (await server.http.get(f"{server.issuer}/.well-known/openid-configuration")).json()
    assert GRANT_REFRESH_TOKEN in metadata["grant_types_supported"]
    client_id, tokens = await first_tokens(server)
    server.clock.seconds += 900
    assert not await active(server, tokens["access_token"])
    answer = (await refresh(server, client_id, tokens["refresh_token"])).json()
    assert answer["refresh_token"] != tokens["refresh_token"]
    document = (await server.introspect(answer["access_token"])).json()
    assert (document["active"], document["exp"]) == (True, server.clock() + 900)
    again = (await refresh(server, client_id, answer["refresh_token"])).json()
    same = (await server.introspect(again["access_token"])).json()
    assert same["delegationId"] == document["delegationId"]


async def test_a_refresh_token_used_twice_ends_the_delegation(refreshing: AuthServer) -> None:
    server = refreshing
    client_id, tokens = await first_tokens(server)
    answer = (await refresh(server, client_id, tokens["refresh_token"])).json()
    assert (await refresh(server, client_id, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await refresh(server, client_id, answer["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await active(server, tokens["access_token"])
    assert not await active(server, answer["access_token"])


async def test_of_simultaneous_uses_at_most_one_succeeds_and_nothing_stays_usable(
    refreshing: AuthServer,
) -> None:
    client_id, tokens = await first_tokens(refreshing)
    uses = (refresh(refreshing, client_id, tokens["refresh_token"]) for _ in range(6))
    issued = [r.json()["access_token"] for r in await asyncio.gather(*uses) if r.status_code == 200]
    assert len(issued) == 1
    assert not await active(refreshing, issued[0])


async def test_refreshing_has_an_end_that_does_not_move(refreshing: AuthServer) -> None:
    client_id, tokens = await first_tokens(refreshing)
    refreshing.clock.seconds += DAY - 1
    tokens = (await refresh(refreshing, client_id, tokens["refresh_token"])).json()
    refreshing.clock.seconds += 1
    refused = await refresh(refreshing, client_id, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"


async def test_the_scope_can_be_narrowed_for_one_token_and_never_widened(refreshing: AuthServer) -> None:
    client_id, tokens = await first_tokens(refreshing, scope="stocks")
    answer = (await refresh(refreshing, client_id, tokens["refresh_token"], scope="stocks/read")).json()
    assert answer["scope"] == "stocks/read"
    answer = (await refresh(refreshing, client_id, answer["refresh_token"])).json()
    assert answer["scope"] == "stocks"
    for wrong, error in (({"scope": "admin"}, "invalid_scope"), ({"resource": API}, "invalid_target")):
        refused = await refresh(refreshing, client_id, answer["refresh_token"], **wrong)
        assert refused.json()["error"] == error


async def test_a_refresh_token_is_its_clients_alone_and_no_access_token(refreshing: AuthServer) -> None:
    client_id, tokens = await first_tokens(refreshing)
    thief, _ = await first_tokens(refreshing)
    refused = await refresh(refreshing, thief, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    assert not await active(refreshing, tokens["refresh_token"])
    assert (await refreshing.exchange(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await refresh(refreshing, client_id, tokens["refresh_token"])).status_code == 200


async def test_revoking_it_ends_the_delegation(refreshing: AuthServer) -> None:
    client_id, tokens = await first_tokens(refreshing)
    await refreshing.post("revoke", {"token": tokens["refresh_token"], "client_id": "unknown"})
    assert await active(refreshing, tokens["access_token"])
    await refreshing.post("revoke", {"token": tokens["refresh_token"], "client_id": client_id})
    assert not await active(refreshing, tokens["access_token"])


async def test_a_policy_that_has_changed_ends_refreshing(tmp_path: Path) -> None:
    async with serving(tmp_path, policy=REFRESHING) as server:
        client_id, tokens = await first_tokens(server)
    async with serving(tmp_path) as server:
        refused = await refresh(server, client_id, tokens["refresh_token"])
        assert refused.json()["error"] == "unsupported_grant_type"


async def test_a_public_clients_refresh_token_is_bound_to_its_key(refreshing: AuthServer) -> None:
    server, key = refreshing, ec_key("agent")

    def proof() -> str:
        claims = {"htm": "POST", "htu": f"{server.issuer}/token", "iat": server.clock()}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
        return jwt.encode(header, claims | {"jti": secrets.token_urlsafe(8)}, key)

    client_id = (await server.register(grant_types=sorted(GRANTS)))["client_id"]
    form = {"grant_type": GRANT_AUTHORIZATION_CODE, "client_id": client_id}
    code = {"code": await server.code(client_id), "code_verifier": VERIFIER}
    tokens = (await server.post("token", form | code, dpop=proof())).json()
    refused = await refresh(server, client_id, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    answer = (await refresh(server, client_id, tokens["refresh_token"], dpop=proof())).json()
    assert answer["token_type"] == "DPoP"
