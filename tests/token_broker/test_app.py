import logging

import httpx
import pytest

from tests.token_broker.conftest import API, Broker
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer


async def test_readiness_tells_that_signing_keys_are_missing(
    broker: Broker, server: FakeAuthorizationServer
) -> None:
    server.issuer.fail = lambda: httpx.Response(500)
    ready = await broker.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["redis"] == "ok"
    assert ready.json()["signing keys"] != "ok"


async def test_a_body_that_is_not_a_form_is_refused(broker: Broker) -> None:
    response = await broker.http.post("/token", json={"grant_type": "x"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_an_oversized_body_is_refused(broker: Broker) -> None:
    response = await broker.http.post("/introspect", data={"token": "a" * 70_000})
    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/introspect", "/token"])
async def test_tokens_are_never_taken_from_a_query(broker: Broker, path: str) -> None:
    assert (await broker.http.get(path, params={"token": "x"})).status_code == 405


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect", "/"])
async def test_there_is_nothing_else_to_see(broker: Broker, path: str) -> None:
    assert (await broker.http.get(path)).status_code == 404


async def test_no_token_and_no_assertion_ever_reaches_a_log(
    broker: Broker, server: FakeAuthorizationServer, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    credentials = [broker.assertion() for _ in range(12)]
    each = iter(credentials)
    server.knows(token)
    await broker.introspect(token, credentials=next(each))
    await broker.introspect(token, credentials=credentials[0])
    await broker.exchange(token, credentials=next(each))
    await broker.exchange(token, audience="https://bank.test", credentials=next(each))
    server.exchanged_claims = {"sub": "somebody-else"}
    await broker.exchange(token + "2", credentials=next(each))
    server.knows(token + "3")
    await broker.exchange(token + "3", credentials=next(each))
    server.on_exchange = lambda: httpx.Response(400, json={"error": token, "error_description": token})
    await broker.exchange(token + "3", credentials=next(each))
    server.on_exchange = lambda: httpx.Response(200, json={"access_token": server.issuer.sign(aud=API)})
    await broker.exchange(token + "3", credentials=next(each))
    server.on_introspect = lambda: httpx.Response(500, text=token)
    await broker.introspect(token + "4", credentials=next(each))
    server.on_introspect = lambda: httpx.Response(200, json={"active": True, "token": token})
    await broker.introspect(token + "4", credentials=next(each))
    assert {"WARNING", "ERROR", "INFO"} <= {record.levelname for record in caplog.records}
    logged = caplog.text + "".join(str(record.args) for record in caplog.records)
    assertions = [each["client_assertion"] for each in credentials]
    for secret in (token, *server.jwts, *assertions):
        for segment in secret.split("."):
            assert segment not in logged or len(segment) < 16
    assert server.issuer.sign(aud=API).split(".")[1] not in logged
