"""Ory Hydra: https://www.ory.sh/docs/oauth2-oidc/jwt-grants and .../hydra/reference/api (introspection)."""

from typing import Any

import httpx
import pytest
from joserfc import jwt

from tests.support.issuer import NOW
from tests.token_broker.conftest import API, RESOURCE, URL, Broker
from tests.token_broker.products.conftest import ASSERTION_KEY, Front
from tests.token_broker.products.product import Form, Product, assertion_of, granted, without_proof

PUBLIC = "https://hydra.test"
TOKEN = "ory_at_1"


@pytest.fixture
def product() -> Product:
    hydra = Product(
        PUBLIC,
        typ="JWT",
        introspection_endpoint="https://hydra-admin.test/admin/oauth2/introspect",
        token_endpoint=f"{PUBLIC}/oauth2/token",
    )
    hydra.on_introspect = lambda form: httpx.Response(
        200, json=DESCRIPTION if form["token"] == TOKEN else {"active": False}
    )
    hydra.on_token = lambda form: by_assertion(hydra, form)
    return hydra


DESCRIPTION: dict[str, Any] = {
    "active": True,
    "scope": "stocks/read",
    "client_id": "agent-1",
    "sub": "john",
    "exp": NOW + 900,
    "iat": NOW,
    "nbf": NOW,
    "aud": [RESOURCE],
    "iss": PUBLIC,
    "token_type": "Bearer",
    "token_use": "access_token",
    "ext": {"consent_request_id": "consent-1"},
}


def by_assertion(hydra: Product, form: Form, **changes: Any) -> httpx.Response:
    claims: dict[str, Any] = {
        "aud": [form["audience"]],
        "sub": assertion_of(form, "assertion")["sub"],
        "client_id": "token-broker",
        "scp": form["scope"].split(),
        "ext": {},
        "exp": NOW + 3600,
    }
    return granted(hydra.sign(**claims | changes), token_type="bearer", scope=form["scope"])


@pytest.fixture
async def broker(front: Front, product: Product) -> Broker:
    return await front(product, "hydra")


async def test_the_broker_vouches_for_the_subject_of_an_active_token(
    broker: Broker, product: Product
) -> None:
    assert (await broker.exchange(TOKEN)).status_code == 200
    phantom, form = product.exchanges
    assert without_proof(form) | {"assertion": "…"} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "…",
        "audience": API,
        "scope": "stocks/read",
    }
    assert phantom["audience"] == RESOURCE
    said = jwt.decode(form["assertion"], ASSERTION_KEY).claims
    assert (said["iss"], said["sub"], said["aud"]) == (URL, "john", product.token_endpoint)
    assert said["exp"] == NOW + 60
    assert said["jti"] != assertion_of(phantom, "assertion")["jti"]
    assert TOKEN not in str(product.exchanges)


async def test_the_key_of_assertions_is_not_that_of_the_client(broker: Broker, product: Product) -> None:
    await broker.exchange(TOKEN)
    form = product.exchanges[0]
    assert assertion_of(form, "assertion")["kid"] == "assertions"
    assert assertion_of(form)["kid"] == "broker"
    assert assertion_of(form)["sub"] == "token-broker"


async def test_nobody_is_vouched_for_from_memory(broker: Broker, product: Product) -> None:
    assert (await broker.introspect(TOKEN)).status_code == 200
    product.on_introspect = lambda _: httpx.Response(200, json={"active": False})
    before = len(product.exchanges)
    response = await broker.exchange(TOKEN)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert len(product.exchanges) == before


async def test_nobody_is_vouched_for_while_introspection_is_away(broker: Broker, product: Product) -> None:
    assert (await broker.introspect(TOKEN)).status_code == 200
    product.on_introspect = lambda _: httpx.Response(503)
    before = len(product.exchanges)
    assert (await broker.exchange(TOKEN)).status_code == 503
    assert len(product.exchanges) == before


async def test_an_unknown_token_makes_no_assertion(broker: Broker, product: Product) -> None:
    assert (await broker.exchange("unknown")).json()["error"] == "invalid_grant"
    assert product.exchanges == []


@pytest.mark.parametrize("changes", [{"sub": "jane"}, {"scp": ["stocks/read", "stocks/trade"]}, {"aud": []}])
async def test_what_comes_back_is_checked_all_the_same(
    broker: Broker, product: Product, changes: dict[str, Any]
) -> None:
    assert (await broker.introspect(TOKEN)).status_code == 200
    product.on_token = lambda form: by_assertion(product, form, **changes)
    assert (await broker.exchange(TOKEN)).status_code == 503


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (400, "invalid_grant", (400, "invalid_grant")),
        (400, "invalid_scope", (400, "invalid_scope")),
        (400, "invalid_request", (503, "temporarily_unavailable")),
        (401, "invalid_client", (503, "temporarily_unavailable")),
    ],
)
async def test_refusals_of_the_documentation(
    broker: Broker, product: Product, status: int, code: str, answer: tuple[int, str]
) -> None:
    assert (await broker.introspect(TOKEN)).status_code == 200
    body: dict[str, Any] = {"error": code, "error_description": "The request ...", "status_code": status}
    product.on_token = lambda _: httpx.Response(status, json=body)
    response = await broker.exchange(TOKEN)
    assert (response.status_code, response.json()["error"]) == answer
