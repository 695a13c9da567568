import asyncio

import httpx
import pytest
from joserfc import jwt

from tests.support.eventually import eventually
from tests.support.issuer import NOW, Clock, ec_key
from tests.token_broker.conftest import OTHER_KEY, RESOURCE, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer, jwt_response
from token_broker.introspection import wants_jwt


async def test_an_opaque_token_becomes_the_jwt_that_stands_for_it(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, sub="john")
    response = await broker.introspect(token)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwt"
    assert response.headers["cache-control"] == "no-store"
    assert jwt.decode(response.text, server.issuer.key).claims["sub"] == "john"


async def test_an_inactive_token_gives_204_or_active_false(broker: Broker, token: str) -> None:
    as_jwt = await broker.introspect(token)
    assert (as_jwt.status_code, as_jwt.content) == (204, b"")
    as_json = await broker.introspect(token, accept="application/json")
    assert as_json.json() == {"active": False}


async def test_json_introspection_tells_the_verified_claims(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(
        token,
        scope="stocks/trade stocks/read",
        act={"sub": "gateway", "act": {"sub": "agent"}},
        cnf={"jkt": "thumbprint"},
        purpose="research",
        nonsense="is not passed on",
    )
    response = await broker.introspect(token, accept="application/json")
    assert response.json() == {
        "active": True,
        "scope": "stocks/read stocks/trade",
        "client_id": "agent-1",
        "token_type": "DPoP",
        "sub": "user-1",
        "aud": RESOURCE,
        "iss": "https://login.test",
        "exp": NOW + 900,
        "iat": NOW,
        "jti": "jti-1",
        "act": {"sub": "gateway", "act": {"sub": "agent"}},
        "cnf": {"jkt": "thumbprint"},
        "delegationId": "delegation-1",
        "region": "USA",
        "client_type": "mcp",
        "client_assurance_level": 1,
        "purpose": "research",
    }


@pytest.mark.parametrize(
    ("accept", "jwt_wanted"),
    [
        ("application/jwt", True),
        ("Application/JWT; q=0.5", True),
        ("application/jwt, application/json;q=0.5", True),
        ("application/json, application/jwt;q=0.5", False),
        ("application/jwt;q=0", False),
        ("application/jwt;q=nonsense", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_accept_header_decides_between_jwt_and_json(accept: str, *, jwt_wanted: bool) -> None:
    assert wants_jwt(accept) is jwt_wanted


async def test_the_second_call_is_answered_from_redis(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    first, second = await broker.introspect(token), await broker.introspect(token)
    assert first.text == second.text
    assert server.introspections == 1


async def test_another_replica_is_served_from_redis(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    one, other = await start(), await start()
    assert (await one.introspect(token)).text == (await other.introspect(token)).text
    assert server.introspections == 1


async def test_a_hundred_concurrent_calls_ask_the_authorization_server_once(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    responses = await asyncio.gather(*(broker.introspect(token) for _ in range(100)))
    assert {response.status_code for response in responses} == {200}
    assert server.introspections == 1


async def test_an_inactive_answer_is_remembered_for_a_moment_only(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    for _ in range(3):
        assert (await broker.introspect(token)).status_code == 204
    assert server.introspections == 1
    server.knows(token)
    clock.seconds += 3
    assert (await broker.introspect(token)).status_code == 200


async def test_a_token_for_another_resource_is_inactive_for_this_caller(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, aud="https://unrelated.test")
    assert (await broker.introspect(token)).status_code == 204


async def test_a_token_cached_for_one_caller_is_inactive_for_another(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    assert (await broker.introspect(token)).status_code == 200
    other = await broker.introspect(token, credentials=broker.assertion("other", OTHER_KEY))
    assert other.status_code == 204
    assert server.introspections == 1


async def test_a_trailing_slash_names_the_same_resource(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, aud=RESOURCE + "/")
    assert (await broker.introspect(token)).status_code == 200


async def test_a_cached_token_is_inactive_once_it_has_expired(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    assert (await broker.introspect(token)).status_code == 200
    clock.seconds = NOW + 900
    assert (await broker.introspect(token)).status_code == 204
    assert server.introspections == 2


async def test_a_token_in_its_last_seconds_is_asked_for_again(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    await broker.introspect(token)
    clock.seconds = NOW + 895
    assert (await broker.introspect(token)).status_code == 200
    assert server.introspections == 2


async def test_a_token_signed_with_a_withdrawn_key_is_asked_for_again(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    await broker.introspect(token)
    server.issuer.key = ec_key("k2")
    server.issuer.published = [server.issuer.key]
    clock.seconds += 301
    assert (await broker.introspect(token)).status_code == 200
    await eventually(lambda: server.issuer.fetches == 2)
    assert (await broker.introspect(token)).status_code == 200
    assert server.introspections == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.test"},
        {"exp": NOW - 3600},
        {"exp": None},
        {"nbf": NOW + 3600},
        {"sub": None},
    ],
)
async def test_a_jwt_that_does_not_verify_is_trouble_and_never_a_verdict(
    broker: Broker, server: FakeAuthorizationServer, token: str, changes: dict[str, object]
) -> None:
    server.knows(token, **changes)
    response = await broker.introspect(token)
    assert response.status_code == 503
    assert response.json()["error"] == "temporarily_unavailable"


async def test_a_jwt_with_a_forged_signature_is_trouble_even_for_another_audience(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    forged = server.issuer.sign(key=ec_key("k1"), aud="https://unrelated.test")
    server.on_introspect = lambda: jwt_response(forged)
    assert (await broker.introspect(token)).status_code == 503


async def test_an_id_token_is_not_taken_for_a_phantom(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    id_token = server.issuer.sign({"typ": "JWT"})
    server.on_introspect = lambda: jwt_response(id_token)
    assert (await broker.introspect(token)).status_code == 503


async def test_json_active_false_is_inactive_too(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.on_introspect = lambda: httpx.Response(200, json={"active": False})
    assert (await broker.introspect(token)).status_code == 204


async def test_an_overlong_token_is_inactive_without_asking(
    broker: Broker, server: FakeAuthorizationServer
) -> None:
    assert (await broker.introspect("a" * 8193)).status_code == 204
    assert server.introspections == 0


async def test_a_request_without_a_token_is_refused(broker: Broker) -> None:
    response = await broker.introspect("")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
