"""Who will use an exchanged token: the broker's caller, said in an actor token (RFC 8693 §2.1)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt

from authcore.oauth2_types import TOKEN_TYPE_JWT
from tests.support.issuer import ISSUER, Clock, ec_key
from tests.token_broker.conftest import BROKER_KEY, Broker, Start, caller
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker.settings import Settings

SECOND_KEY = ec_key("second")


@pytest.fixture
async def shared(start: Start, settings: Settings) -> Broker:
    """A broker with a second caller that may have all that the gateway may have."""
    return await start(callers=settings.callers | {"second": caller(SECOND_KEY)})


def actors(server: FakeAuthorizationServer) -> list[str]:
    """The `sub` of each actor token that came with an exchange."""
    tokens = [form["actor_token"] for form in server.forms if "actor_token" in form]
    return [jwt.decode(token, BROKER_KEY).claims["sub"] for token in tokens]


async def test_the_caller_is_named_in_a_short_statement_of_the_broker(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    assert (await broker.exchange(token)).status_code == 200
    introspection, exchange = server.forms
    assert exchange["actor_token_type"] == TOKEN_TYPE_JWT
    claims = jwt.decode(exchange["actor_token"], BROKER_KEY).claims
    jti = claims.pop("jti")
    expected = {"iss": "token-broker", "sub": "mcp-gateway", "aud": ISSUER}
    assert claims == expected | {"iat": clock(), "exp": clock() + 60}
    assert jti != jwt.decode(exchange["client_assertion"], BROKER_KEY).claims["jti"]
    assert "actor_token" not in introspection


async def test_a_caller_cannot_choose_the_actor(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    chosen: dict[str, Any]
    for chosen in ({"actor_token": "x", "actor_token_type": TOKEN_TYPE_JWT}, {"actor_token_type": "x"}):
        assert (await broker.exchange(token, **chosen)).json()["error"] == "invalid_request"
    assert (await broker.exchange(token, actor="operator", sub="operator")).status_code == 200
    assert actors(server) == ["mcp-gateway"]


async def test_two_callers_share_no_exchanged_token(
    shared: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    first = (await shared.exchange(token)).json()["access_token"]
    second = (await shared.exchange(token, credentials=shared.assertion("second", SECOND_KEY))).json()
    assert second["access_token"] != first
    assert actors(server) == ["mcp-gateway", "second"]
    assert (await shared.exchange(token)).json()["access_token"] == first
    assert server.exchanges == 2


async def test_two_callers_at_once_share_no_exchange(
    shared: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    first, second = await asyncio.gather(
        shared.exchange(token),
        shared.exchange(token, credentials=shared.assertion("second", SECOND_KEY)),
    )
    assert first.json()["access_token"] != second.json()["access_token"]
    assert sorted(actors(server)) == ["mcp-gateway", "second"]


async def test_a_profile_that_does_not_say_so_names_nobody_and_shares(
    start: Start, settings: Settings, server: FakeAuthorizationServer, token: str, tmp_path: Path
) -> None:
    profile = tmp_path / "silent.toml"
    profile.write_text('extends = "embedded"\n[exchange]\nactor = "none"\n')
    callers = settings.callers | {"second": caller(SECOND_KEY)}
    broker = await start(profile=str(profile), callers=callers)
    server.knows(token)
    first = await broker.exchange(token)
    second = await broker.exchange(token, credentials=broker.assertion("second", SECOND_KEY))
    assert first.json()["access_token"] == second.json()["access_token"]
    assert not any(name.startswith("actor") for form in server.forms for name in form)
