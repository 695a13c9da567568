"""Auth0 and Okta: JWTs for subject tokens, RFC 8693 with their own habits.

https://auth0.com/docs/secure/call-apis-on-users-behalf/on-behalf-of-token-exchange,
https://developer.okta.com/docs/guides/set-up-token-exchange.
"""

from typing import Any

import httpx
import pytest

from tests.support.issuer import NOW
from tests.token_broker.conftest import API, RESOURCE, Broker
from tests.token_broker.products.conftest import Front
from tests.token_broker.products.product import Form, Product, assertion_of, granted, without_proof

AUTH0 = "https://tenant.eu.auth0.test/"
OKTA = "https://example.okta.test/oauth2/default"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture
def auth0() -> Product:
    return Product(AUTH0, token_endpoint=f"{AUTH0}oauth/token")


def of_auth0(product: Product, **changes: Any) -> str:
    claims: dict[str, Any] = {
        "aud": [RESOURCE, f"{AUTH0}userinfo"],
        "sub": "auth0|6481",
        "client_id": "agent-1",
        "jti": "UMBBSJZb7d",
        "scope": "openid stocks/read",
    }
    return product.sign(**claims | changes)


async def test_auth0_exchanges_with_audience_and_nests_the_actors(front: Front, auth0: Product) -> None:
    def answer(form: Form) -> httpx.Response:
        act = {"sub": "token-broker", "act": {"sub": "agent-1"}}
        token = of_auth0(auth0, aud=form["audience"], scope=form["scope"], act=act, exp=NOW + 86400)
        return granted(token, expires_in=86400, scope=form["scope"], issued_token_type=TOKEN_TYPE)

    auth0.on_token = answer
    broker = await front(auth0, "auth0", introspection_endpoint="")
    response = await broker.exchange(of_auth0(auth0))
    assert response.json()["expires_in"] == 900
    (form,) = auth0.exchanges
    assert without_proof(form) | {"subject_token": "…"} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "…",
        "subject_token_type": TOKEN_TYPE,
        "requested_token_type": TOKEN_TYPE,
        "audience": API,
        "scope": "stocks/read",
    }
    assert assertion_of(form)["aud"] == AUTH0


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (
            403,
            {"error": "invalid_grant", "error_description": "Invalid subject token"},
            (400, "invalid_grant"),
        ),
        (403, {"error": "access_denied", "error_description": "Service not enabled"}, (400, "access_denied")),
        (403, {"error": "unauthorized_client"}, (503, "temporarily_unavailable")),
        (429, {"error": "too_many_requests"}, (503, "temporarily_unavailable")),
    ],
)
async def test_auth0_refuses_with_403_where_others_have_400(
    front: Front, auth0: Product, status: int, body: dict[str, str], answer: tuple[int, str]
) -> None:
    auth0.on_token = lambda _: httpx.Response(status, json=body)
    broker = await front(auth0, "auth0", introspection_endpoint="")
    response = await broker.exchange(of_auth0(auth0))
    assert (response.status_code, response.json()["error"]) == answer


async def test_the_rate_limit_of_auth0_is_passed_on(front: Front, auth0: Product) -> None:
    auth0.on_token = lambda _: httpx.Response(429, headers={"retry-after": "9"})
    broker = await front(auth0, "auth0", introspection_endpoint="")
    assert (await broker.exchange(of_auth0(auth0))).headers["retry-after"] == "9"


@pytest.fixture
def okta() -> Product:
    product = Product(
        OKTA,
        typ=None,
        introspection_endpoint=f"{OKTA}/v1/introspect",
        token_endpoint=f"{OKTA}/v1/token",
    )
    product.on_introspect = lambda _: httpx.Response(
        200, json={"active": True, "token_type": "Bearer", "scope": "stocks/read", "username": "john@test"}
    )
    return product


def of_okta(product: Product, **changes: Any) -> str:
    claims: dict[str, Any] = {
        "ver": 1,
        "aud": RESOURCE,
        "sub": "john@test",
        "uid": "00u1",
        "cid": "0oa-agent",
        "jti": "AT.0mP4",
        "scp": ["stocks/read", "stocks/trade"],
    }
    return product.sign(**claims | changes)


async def test_okta_has_scopes_in_an_array_and_the_client_in_cid(front: Front, okta: Product) -> None:
    def answer(form: Form) -> httpx.Response:
        token = of_okta(
            okta, aud=form["audience"], scp=form["scope"].split(), cid="token-broker", exp=NOW + 3600
        )
        return granted(token, scope=form["scope"], issued_token_type=TOKEN_TYPE)

    okta.on_token = answer
    broker = await front(okta, "okta")
    response = await broker.exchange(of_okta(okta))
    assert response.json()["scope"] == "stocks/read"
    (form,) = okta.exchanges
    assert without_proof(form) | {"subject_token": "…"} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "…",
        "subject_token_type": TOKEN_TYPE,
        "audience": API,
        "scope": "stocks/read",
    }
    assert assertion_of(form)["aud"] == okta.token_endpoint
    assert assertion_of(okta.introspections[0])["aud"] == okta.introspection_endpoint
    described = await broker.introspect(of_okta(okta), accept="application/json")
    assert described.json()["client_id"] == "0oa-agent"


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (400, "invalid_grant", (400, "invalid_grant")),
        (400, "invalid_scope", (400, "invalid_scope")),
        (400, "access_denied", (400, "access_denied")),
        (400, "invalid_target", (400, "invalid_target")),
        (401, "invalid_client", (503, "temporarily_unavailable")),
    ],
)
async def test_refusals_of_okta(
    front: Front, okta: Product, status: int, code: str, answer: tuple[int, str]
) -> None:
    okta.on_token = lambda _: httpx.Response(status, json={"error": code, "error_description": "..."})
    broker: Broker = await front(okta, "okta")
    response = await broker.exchange(of_okta(okta))
    assert (response.status_code, response.json()["error"]) == answer
