import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from authcore.errors import InvalidGrant, TemporarilyUnavailable
from authcore.http_client import BoundedResponse
from tests.token_broker.conftest import API, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer, token_response
from token_broker.adapters.rfc8693 import Rfc8693
from token_broker.adapters.token_request import Wording
from token_broker.authorization_server import process_exchange, process_introspection
from token_broker.profiles import load_profile

JWT = "e30.e30.c2ln"
"""Has the form of a JWT."""
PROFILE = load_profile("embedded")
RFC8693 = Rfc8693(Wording(PROFILE.exchange, PROFILE.target))


def response(status: int, body: bytes = b"", media_type: str = "application/json") -> BoundedResponse:
    return BoundedResponse(status, httpx.Headers({"content-type": media_type}), body)


def timed_out() -> httpx.Response:
    raise httpx.ReadTimeout("too slow")


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("nobody there")


TROUBLE: dict[str, Callable[[], httpx.Response]] = {
    "500": lambda: httpx.Response(500, json={"error": "server_error"}),
    "502 with HTML": lambda: httpx.Response(502, html="<h1>Bad gateway</h1>"),
    "429": lambda: httpx.Response(429),
    "200 with HTML": lambda: httpx.Response(200, html="<h1>Log in</h1>"),
    "200 with nothing": lambda: httpx.Response(200),
    "200 with garbage as JSON": lambda: httpx.Response(
        200, content=b"{", headers={"content-type": "application/json"}
    ),
    "200 with a list": lambda: httpx.Response(200, json=[]),
    "200 with active true as JSON": lambda: httpx.Response(200, json={"active": True}),
    "200 with active null": lambda: httpx.Response(200, json={"active": None}),
    "200 with garbage as JWT": lambda: httpx.Response(
        200, text="garbage", headers={"content-type": "application/jwt"}
    ),
    "200 and huge": lambda: httpx.Response(
        200, text="a" * 70_000, headers={"content-type": "application/jwt"}
    ),
    "202": lambda: httpx.Response(202, text=JWT, headers={"content-type": "application/jwt"}),
    "302": lambda: httpx.Response(302, headers={"location": "https://login.test/login"}),
    "401 invalid_client": lambda: httpx.Response(401, json={"error": "invalid_client"}),
    "400 unauthorized_client": lambda: httpx.Response(400, json={"error": "unauthorized_client"}),
    "404": lambda: httpx.Response(404),
    "a timeout": timed_out,
    "no connection": unreachable,
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE.keys())
async def test_trouble_at_the_authorization_server_is_503_and_never_a_verdict(
    broker: Broker, server: FakeAuthorizationServer, token: str, trouble: Callable[[], httpx.Response]
) -> None:
    server.knows(token)
    server.on_introspect = server.on_exchange = trouble
    for answer in (
        await broker.introspect(token),
        await broker.introspect(token, accept="application/json"),
        await broker.exchange(token),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["error"] == "temporarily_unavailable"


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE.keys())
async def test_trouble_with_an_exchange_leaves_the_subject_as_it_is(
    broker: Broker, server: FakeAuthorizationServer, token: str, trouble: Callable[[], httpx.Response]
) -> None:
    server.knows(token)
    server.on_exchange = trouble
    assert (await broker.exchange(token)).status_code == 503
    assert (await broker.introspect(token)).status_code == 200
    assert server.introspections == 1


async def test_known_tokens_keep_working_while_the_authorization_server_is_away(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    await broker.exchange(token)
    server.on_introspect = server.on_exchange = unreachable
    assert (await broker.introspect(token)).status_code == 200
    assert (await broker.exchange(token)).status_code == 200
    assert (await broker.introspect(token + "2")).status_code == 503


async def test_an_answer_that_never_comes_has_a_deadline(
    start: Start, server: FakeAuthorizationServer, token: str
) -> None:
    broker = await start(http_deadline_seconds=0.05)
    server.may_answer.clear()
    answer = await asyncio.wait_for(broker.introspect(token), 5)
    assert answer.status_code == 503


async def test_when_to_come_back_is_passed_on_within_bounds(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    for told, passed_on in (("17", "17"), ("0", "1"), ("9999", "60"), ("tomorrow", "5")):
        answer = httpx.Response(503, headers={"retry-after": told})
        server.on_introspect = lambda answer=answer: answer
        assert (await broker.introspect(token)).headers["retry-after"] == passed_on


async def test_signing_keys_that_cannot_be_fetched_are_503(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    server.issuer.fail = lambda: httpx.Response(500)
    assert (await broker.introspect(token)).status_code == 503


async def test_our_own_misconfiguration_is_an_error_in_the_log(
    broker: Broker, server: FakeAuthorizationServer, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.on_introspect = lambda: httpx.Response(401, json={"error": "invalid_client"})
    await broker.introspect(token)
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in errors] == [
        "the authorization server and this broker do not agree: "
        "introspection was answered with 401 invalid_client"
    ]


async def test_requests_carry_what_the_rfcs_ask_for(
    broker: Broker, server: FakeAuthorizationServer, token: str
) -> None:
    server.knows(token)
    await broker.exchange(token)
    introspection, exchange = server.forms
    assert introspection["token"] == token
    assert introspection["client_id"] == "token-broker"
    assert exchange["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert exchange["subject_token"] == token
    assert exchange["subject_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert exchange["audience"] == API
    assert introspection["client_assertion"] != exchange["client_assertion"]


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": "opaque"},
        {"access_token": 1},
        {"token_type": "N_A"},
        {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"issued_token_type": None},
    ],
)
def test_an_answer_that_is_no_token_response_is_trouble(changes: dict[str, Any]) -> None:
    body = token_response(JWT, **changes).content
    with pytest.raises(TemporarilyUnavailable):
        process_exchange(response(200, body), RFC8693)


def test_a_dead_subject_is_told_from_trouble_by_status_and_code() -> None:
    dead = response(400, b'{"error": "invalid_grant"}')
    with pytest.raises(InvalidGrant):
        process_exchange(dead, RFC8693)
    for other in (replace(dead, status=500), response(400, b'{"error": "invalid_grant"}', "text/html")):
        with pytest.raises(TemporarilyUnavailable):
            process_exchange(other, RFC8693)


def test_an_unknown_error_code_is_not_repeated() -> None:
    with pytest.raises(TemporarilyUnavailable) as caught:
        process_introspection(response(400, b'{"error": "secret_looking_thing"}'))
    assert "secret" not in str(caught.value)
