"""RFC 7009, and what else ends a delegation."""

from pathlib import Path

import pytest

from authcore.oauth2_types import MEDIA_TYPE_JWT
from tests.authserver.server import BROKER, AuthServer, Json, public_jwks, serving
from tests.support.issuer import ec_key

INACTIVE = {"active": False}


class Grant:
    """Everything one delegation gave out: an opaque token, its phantom, a derived JWT."""

    def __init__(self, server: AuthServer, client_id: str, tokens: dict[str, str]) -> None:
        self.server, self.client_id, self.tokens = server, client_id, tokens

    @classmethod
    async def of(cls, server: AuthServer) -> "Grant":
        client_id = str((await server.register())["client_id"])
        opaque = await server.token(client_id=client_id)
        phantom = (await server.introspect(opaque, MEDIA_TYPE_JWT)).text
        derived = (await server.exchange(opaque)).json()["access_token"]
        return cls(server, client_id, {"opaque": opaque, "phantom": phantom, "derived": derived})

    async def active(self) -> list[bool]:
        return [(await self.server.introspect(t)).json()["active"] for t in self.tokens.values()]


async def revoke(server: AuthServer, token: str | None, /, **form: str | None) -> Json:
    response = await server.post("revoke", {"token": token, **form})
    assert response.headers["cache-control"] == "no-store"
    return {"status": response.status_code} | (response.json() if response.content else {})


@pytest.mark.parametrize("kind", ["opaque", "phantom", "derived"])
async def test_any_token_of_a_delegation_ends_all_of_them_at_once(server: AuthServer, kind: str) -> None:
    grant, other = await Grant.of(server), await Grant.of(server)
    assert await grant.active() == [True, True, True]
    hint = "refresh_token"
    answer = await revoke(server, grant.tokens[kind], client_id=grant.client_id, token_type_hint=hint)
    assert answer == {"status": 200}
    assert await grant.active() == [False, False, False]
    assert (await server.exchange(grant.tokens["opaque"])).json()["error"] == "invalid_grant"
    assert (await server.exchange(grant.tokens["phantom"])).json()["error"] == "invalid_grant"
    assert await other.active() == [True, True, True]


async def test_who_exchanged_a_token_may_give_back_what_it_got(server: AuthServer) -> None:
    grant = await Grant.of(server)
    assert await revoke(server, grant.tokens["opaque"], **server.assertion()) == {"status": 200}
    assert await grant.active() == [True, True, True]
    assert await revoke(server, grant.tokens["derived"], **server.assertion()) == {"status": 200}
    assert await grant.active() == [False, False, False]


async def test_another_clients_token_stays_and_nothing_is_said_of_it(server: AuthServer) -> None:
    grant, thief = await Grant.of(server), await server.register()
    for token in grant.tokens.values():
        assert await revoke(server, token, client_id=thief["client_id"]) == {"status": 200}
    assert await grant.active() == [True, True, True]


async def test_a_token_that_is_unknown_or_over_is_answered_like_any_other(server: AuthServer) -> None:
    grant = await Grant.of(server)
    for token in ("nonsense", "a.b.c", "x" * 9000):
        assert await revoke(server, token, client_id=grant.client_id) == {"status": 200}
    for _ in range(2):
        assert await revoke(server, grant.tokens["opaque"], client_id=grant.client_id) == {"status": 200}
    server.clock.seconds += 3600
    assert await revoke(server, grant.tokens["derived"], client_id=grant.client_id) == {"status": 200}


async def test_a_client_that_cannot_prove_itself_revokes_nothing(server: AuthServer) -> None:
    grant = await Grant.of(server)
    token = grant.tokens["derived"]
    for form in ({}, {"client_id": BROKER}, {"client_id": "unknown"}, server.assertion(key=ec_key("x"))):
        answer = await revoke(server, token, **form)
        assert (answer["status"], answer["error"]) == (401, "invalid_client")
    answer = await revoke(server, None, client_id=grant.client_id)
    assert (answer["status"], answer["error"]) == (400, "invalid_request")
    assert await grant.active() == [True, True, True]


async def test_a_revocation_outlives_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        grant, broker_key = await Grant.of(server), server.broker_key
        await revoke(server, grant.tokens["opaque"], client_id=grant.client_id)
    async with serving(tmp_path, broker_key=broker_key) as server:
        grant.server = server
        assert await grant.active() == [False, False, False]


async def test_a_client_may_revoke_with_an_assertion_for_this_endpoint(tmp_path: Path) -> None:
    key = ec_key("agent")
    async with serving(tmp_path) as server:
        client = await server.register(token_endpoint_auth_method="private_key_jwt", jwks=public_jwks(key))
        code = await server.code(client["client_id"])
        proof = server.assertion(client_id=client["client_id"], key=key)
        token = (await server.redeem(client["client_id"], code, **proof)).json()["access_token"]
        url = f"{server.issuer}/revoke"
        await revoke(server, token, **server.assertion(url, client_id=client["client_id"], key=key))
        assert (await server.introspect(token)).json() == INACTIVE
