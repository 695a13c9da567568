import asyncio
from collections.abc import Callable

import pytest

from tests.support.issuer import NOW, Clock, ec_key
from tests.token_broker.conftest import GATEWAY_KEY, OTHER_KEY, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer

Credentials = Callable[[Broker], dict[str, str]]


async def test_an_assertion_is_good_once(broker: Broker, server: FakeAuthorizationServer, token: str) -> None:
    server.knows(token)
    credentials = broker.assertion()
    assert (await broker.introspect(token, credentials=credentials)).status_code == 200
    replayed = await broker.introspect(token, credentials=credentials)
    assert (replayed.status_code, replayed.json()["error"]) == (401, "invalid_client")


async def test_an_assertion_used_at_one_replica_is_used_at_all(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    one, other = await start(), await start()
    credentials = one.assertion()
    assert (await one.introspect(token, credentials=credentials)).status_code == 200
    assert (await other.exchange(token, credentials=credentials)).status_code == 401


async def test_of_concurrent_uses_of_an_assertion_one_passes(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    credentials = broker.assertion()
    responses = await asyncio.gather(*(broker.introspect(token, credentials=credentials) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [200] + [401] * 9


NO_PROOF: dict[str, Credentials] = {
    "no credentials": lambda _: {},
    "unknown client": lambda broker: broker.assertion("nobody"),
    "another client's key": lambda broker: broker.assertion("mcp-gateway", OTHER_KEY),
    "another client's name": lambda broker: broker.assertion("other", GATEWAY_KEY),
    "an unknown key": lambda broker: broker.assertion(key=ec_key("gateway")),
    "made for somebody else": lambda broker: broker.assertion(audience="https://login.test"),
    "client_id differs": lambda broker: broker.assertion() | {"client_id": "other"},
    "another type": lambda broker: broker.assertion() | {"client_assertion_type": "saml"},
    "garbage": lambda broker: broker.assertion() | {"client_assertion": "a.b.c"},
    "a secret": lambda _: {"client_id": "mcp-gateway", "client_secret": "s"},
}


@pytest.mark.parametrize("credentials", NO_PROOF.values(), ids=NO_PROOF.keys())
async def test_who_does_not_prove_who_it_is_learns_nothing(
    broker: Broker, server: FakeAuthorizationServer, token: str, credentials: Credentials
) -> None:
    server.knows(token)
    for response in (
        await broker.introspect(token, credentials=credentials(broker)),
        await broker.exchange(token, credentials=credentials(broker)),
    ):
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
        assert "www-authenticate" not in response.headers
        assert response.headers["cache-control"] == "no-store"
    assert server.introspections == 0


async def test_an_old_assertion_is_refused(broker: Broker, clock: Clock, token: str) -> None:
    credentials = broker.assertion()
    clock.seconds = NOW + 600
    assert (await broker.introspect(token, credentials=credentials)).status_code == 401


async def test_a_client_that_uses_the_authorization_header_is_challenged_in_its_scheme(
    broker: Broker, token: str
) -> None:
    response = await broker.http.post("/introspect", data={"token": token}, auth=("mcp-gateway", "secret"))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Basic realm="token broker"'


async def test_two_ways_of_authentication_are_refused(broker: Broker, token: str) -> None:
    response = await broker.introspect(token, credentials=broker.assertion() | {"client_secret": "s"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
