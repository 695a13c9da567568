import asyncio
from typing import Any

import httpx
import pytest
from joserfc import jwt

from authcore.oauth2_types import TOKEN_TYPE_ACCESS_TOKEN
from tests.support.issuer import NOW, Clock
from tests.token_broker.conftest import API, OTHER_KEY, Broker, Start, soon
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer, token_response
from token_broker.delegations import DelegationStore


async def test_a_subject_token_becomes_a_jwt_for_the_audience(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    response = await broker.exchange(token)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body | {"access_token": "…"} == {
        "access_token": "…",
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "stocks/read",
        "issued_token_type": TOKEN_TYPE_ACCESS_TOKEN,
    }
    claims = jwt.decode(body["access_token"], server.issuer.key).claims
    assert (claims["aud"], claims["sub"]) == (API, "user-1")


async def test_a_hundred_concurrent_exchanges_are_one(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    responses = await asyncio.gather(*(broker.exchange(token) for _ in range(100)))
    assert len({response.json()["access_token"] for response in responses}) == 1
    assert (server.introspections, server.exchanges) == (1, 1)


async def test_the_second_exchange_is_answered_from_redis_with_what_is_left_of_its_life(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    server.knows(token)
    first = (await broker.exchange(token)).json()
    clock.seconds += 100
    second = (await broker.exchange(token)).json()
    assert second["access_token"] == first["access_token"]
    assert second["expires_in"] == 500
    assert (server.introspections, server.exchanges) == (1, 1)


async def test_another_replica_has_the_exchanged_token_from_redis(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    one, other = await start(), await start()
    first, second = await one.exchange(token), await other.exchange(token)
    assert first.json()["access_token"] == second.json()["access_token"]
    assert (server.introspections, server.exchanges) == (1, 1)


async def test_another_token_of_the_same_delegation_has_its_own_exchange(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    server.knows(token + "2")
    first, second = await broker.exchange(token), await broker.exchange(token + "2")
    assert first.json()["access_token"] != second.json()["access_token"]
    assert server.exchanges == 2


async def test_another_audience_and_another_scope_have_their_own_exchange(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, scope="stocks/read stocks/trade")
    await broker.exchange(token)
    await broker.exchange(token, audience="https://reports.demo.example")
    await broker.exchange(token, scope="stocks/trade")
    assert server.exchanges == 3


async def test_the_order_of_scopes_does_not_matter(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, scope="stocks/read stocks/trade")
    await broker.exchange(token, scope="stocks/read stocks/trade")
    await broker.exchange(token, scope="stocks/trade  stocks/read")
    assert server.exchanges == 1


async def test_without_a_scope_the_caller_gets_what_it_and_the_subject_share(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, scope="stocks/read profile")
    response = await broker.exchange(token, scope=None)
    assert response.json()["scope"] == "stocks/read"
    assert server.forms[-1]["scope"] == "stocks/read"


@pytest.mark.parametrize("scope", [None, "stocks/read"])
async def test_a_scope_below_a_wider_one_of_the_subject_is_within_it(
    broker: Broker, server: FakeAuthorizationServer, token: str, scope: str | None
) -> None:
    server.knows(token, scope="stocks")
    response = await broker.exchange(token, scope=scope)
    assert "stocks/read" in response.json()["scope"].split()
    assert "stocks" not in response.json()["scope"].split()


async def test_a_scope_the_subject_lacks_is_refused_without_asking(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    response = await broker.exchange(token, scope="stocks/read stocks/trade")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")
    assert server.exchanges == 0


@pytest.mark.parametrize("scope", [None, "stocks/read"])
async def test_a_subject_without_any_scope_gets_nothing(
    broker: Broker, server: FakeAuthorizationServer, token: str, scope: str | None
) -> None:
    server.knows(token, scope=None)
    assert (await broker.exchange(token, scope=scope)).json()["error"] == "invalid_scope"
    assert server.exchanges == 0


async def test_an_audience_that_is_not_the_callers_is_refused(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    response = await broker.exchange(token, audience="https://bank.test")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_target")
    assert server.introspections == 0


async def test_a_scope_that_is_not_the_callers_is_refused(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, scope="stocks/read admin")
    response = await broker.exchange(token, scope="admin")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")
    assert server.introspections == 0


async def test_a_subject_token_of_another_resource_cannot_be_exchanged(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    other = broker.assertion("other", OTHER_KEY)
    response = await broker.exchange(token, scope="other/read", credentials=other)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert server.exchanges == 0


async def test_an_inactive_subject_token_is_invalid_grant(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    response = await broker.exchange(token)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert server.exchanges == 0


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"audience": None}, "invalid_request"),
        ({"audience": [API, API]}, "invalid_target"),
        ({"resource": "https://api.demo.example"}, "invalid_target"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"scope": ["stocks/read", "stocks/read"]}, "invalid_request"),
    ],
)
async def test_a_request_that_is_not_well_formed_is_refused(
    broker: Broker, server: FakeAuthorizationServer, token: str, changes: dict[str, Any], error: str
) -> None:
    server.knows(token)
    response = await broker.exchange(token, **changes)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert response.headers["cache-control"] == "no-store"
    assert server.introspections == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://bank.test"},
        {"aud": [API, "https://bank.test"]},
        {"scope": "stocks/read stocks/trade"},
        {"scope": None},
        {"sub": "somebody-else"},
        {"exp": NOW + 901},
        {"exp": NOW - 1},
        {"iss": "https://evil.test"},
        {"delegationId": "another"},
        {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
        {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
        {"cnf": {"kid": 7}},
    ],
)
async def test_a_token_wider_than_its_subject_is_neither_returned_nor_kept(
    broker: Broker, server: FakeAuthorizationServer, token: str, claims: dict[str, Any]
) -> None:
    server.knows(token)
    server.exchanged_claims = claims
    for _ in range(2):
        response = await broker.exchange(token)
        assert response.status_code == 503
        assert "access_token" not in response.json()
    assert server.exchanges == 2


async def test_the_scope_must_stay_within_what_was_asked_for(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, scope="stocks/read stocks/trade")
    server.exchanged_claims = {"scope": "stocks/read stocks/trade"}
    assert (await broker.exchange(token)).status_code == 503


async def test_a_narrower_scope_is_told_to_the_caller(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token, scope="stocks/read stocks/trade")
    server.exchanged_claims = {"scope": "stocks/read"}
    response = await broker.exchange(token, scope="stocks/read stocks/trade")
    assert response.json()["scope"] == "stocks/read"


async def test_an_exchanged_token_may_leave_the_delegation_out(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    server.exchanged_claims = {"delegationId": None}
    assert (await broker.exchange(token)).status_code == 200


async def test_a_subject_that_died_since_it_was_cached_is_forgotten(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    assert (await broker.introspect(token)).status_code == 200
    del server.active[token]
    response = await broker.exchange(token)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert (await broker.introspect(token)).status_code == 204


async def test_invalid_request_is_the_subjects_death_if_introspection_says_so(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    assert (await broker.introspect(token)).status_code == 200
    del server.active[token]
    server.on_exchange = lambda: httpx.Response(400, json={"error": "invalid_request"})
    assert (await broker.exchange(token)).json()["error"] == "invalid_grant"


async def test_invalid_request_for_a_living_subject_is_our_trouble(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    server.on_exchange = lambda: httpx.Response(400, json={"error": "invalid_request"})
    assert (await broker.exchange(token)).status_code == 503


@pytest.mark.parametrize("code", ["invalid_scope", "invalid_target", "access_denied"])
async def test_what_the_authorization_server_does_not_grant_the_caller_is_told(
    broker: Broker, server: FakeAuthorizationServer, token: str, code: str
) -> None:
    server.knows(token)
    server.on_exchange = lambda: httpx.Response(400, json={"error": code})
    response = await broker.exchange(token)
    assert (response.status_code, response.json()["error"]) == (400, code)


async def test_an_exchange_in_flight_cannot_resurrect_a_revoked_delegation(
    broker: Broker, server: FakeAuthorizationServer, store: DelegationStore, token: str, delegation: str
) -> None:
    server.knows(token, delegationId=delegation)
    assert (await broker.introspect(token)).status_code == 200
    server.asked.clear()
    server.may_answer.clear()
    exchange = asyncio.create_task(broker.exchange(token))
    await soon(server.asked)
    assert await store.revoke(delegation)
    server.may_answer.set()
    response = await exchange
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert server.exchanges == 1
    assert (await broker.introspect(token)).status_code == 204


async def test_an_introspection_in_flight_cannot_resurrect_a_revoked_delegation(
    broker: Broker, server: FakeAuthorizationServer, store: DelegationStore, token: str, delegation: str
) -> None:
    server.knows(token, delegationId=delegation)
    server.may_answer.clear()
    introspection = asyncio.create_task(broker.introspect(token))
    await soon(server.asked)
    await store.revoke(delegation)
    server.may_answer.set()
    assert (await introspection).status_code == 204


async def test_a_token_too_short_lived_to_be_kept_still_needs_a_living_delegation(
    broker: Broker, server: FakeAuthorizationServer, store: DelegationStore, token: str, delegation: str
) -> None:
    server.knows(token, delegationId=delegation, exp=NOW + 5)
    assert (await broker.exchange(token)).status_code == 200
    await store.revoke(delegation)
    assert (await broker.exchange(token)).json()["error"] == "invalid_grant"


async def test_a_refresh_token_beside_the_access_token_is_dropped(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    jwt_for_api = server.issuer.sign(aud=API)
    server.on_exchange = lambda: token_response(jwt_for_api, refresh_token="never")
    response = await broker.exchange(token)
    assert response.status_code == 200
    assert "refresh_token" not in response.json()
