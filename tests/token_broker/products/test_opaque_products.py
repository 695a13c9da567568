"""oidc-provider and ZITADEL: opaque tokens that introspection describes, and an exchange that gives JWTs.

https://github.com/panva/node-oidc-provider/blob/main/docs/README.md,
https://zitadel.com/docs/guides/integrate/token-exchange.
"""

from typing import Any

import httpx
import pytest

from tests.support.issuer import NOW, ec_key
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import API, RESOURCE, Broker
from tests.token_broker.products.conftest import Front
from tests.token_broker.products.product import Form, Product, ec_product, granted, without_proof

ISSUER = "https://op.test"
DESCRIPTION: dict[str, Any] = {
    "active": True,
    "sub": "john",
    "grant_id": "grant-1",
    "client_id": "agent-1",
    "exp": NOW + 900,
    "iat": NOW,
    "iss": ISSUER,
    "aud": RESOURCE,
    "scope": "stocks/read",
    "token_type": "Bearer",
}
TOKEN = "opaque-1"


@pytest.fixture
def product() -> Product:
    op = ec_product(
        ISSUER, introspection_endpoint=f"{ISSUER}/token/introspection", token_endpoint=f"{ISSUER}/token"
    )
    op.on_introspect = lambda form: stated(op) if form["token"] == TOKEN else stated(op, {"active": False})
    op.on_token = lambda form: exchanged(op, form)
    return op


def stated(op: Product, description: dict[str, Any] | None = None, **claims: Any) -> httpx.Response:
    said = DESCRIPTION if description is None else description
    standard: dict[str, Any] = {"exp": None, "aud": said.get("aud", "token-broker")}
    jwt = op.sign("token-introspection+jwt", **standard | {"token_introspection": said} | claims)
    return httpx.Response(200, text=jwt, headers={"content-type": "application/token-introspection+jwt"})


def exchanged(op: Product, form: Form, **changes: Any) -> httpx.Response:
    claims: dict[str, Any] = {
        "aud": form["resource"],
        "sub": "john",
        "client_id": "token-broker",
        "scope": form["scope"],
        "jti": f"jti-{len(op.exchanges)}",
        "grant_id": "grant-1",
    }
    return granted(
        op.sign(**claims | changes), issued_token_type="urn:ietf:params:oauth:token-type:access_token"
    )


@pytest.fixture
async def broker(front: Front, product: Product) -> Broker:
    return await front(product, "oidc-provider")


async def test_the_jwt_for_the_resource_is_got_by_an_exchange(broker: Broker, product: Product) -> None:
    response = await broker.introspect(TOKEN, accept="application/json")
    assert response.json()["aud"] == RESOURCE
    (form,) = product.exchanges
    assert without_proof(form) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": RESOURCE,
        "scope": "stocks/read",
    }
    assert product.headers[0]["accept"] == "application/token-introspection+jwt"


async def test_phantom_and_exchanged_token_are_remembered(
    broker: Broker, product: Product, redis: RedisContents
) -> None:
    for _ in range(3):
        assert (await broker.exchange(TOKEN)).status_code == 200
        assert (await broker.introspect(TOKEN)).status_code == 200
    assert (len(product.introspections), len(product.exchanges)) == (1, 2)
    assert [form["resource"] for form in product.exchanges] == [RESOURCE, API]


async def test_an_inactive_token_is_inactive(broker: Broker, product: Product) -> None:
    assert (await broker.introspect("unknown")).status_code == 204
    assert product.exchanges == []


async def test_a_token_for_another_resource_is_not_turned_into_one_for_ours(
    broker: Broker, product: Product
) -> None:
    for aud in (API, [API, "https://bank.test"]):
        product.on_introspect = lambda _, aud=aud: stated(product, DESCRIPTION | {"aud": aud})
        assert (await broker.introspect(TOKEN)).status_code in (204, 503)
    assert product.exchanges == []


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.test"},
        {"iat": NOW - 3600},
        {"iat": None},
        {"aud": "https://bank.test"},
        {"token_introspection": None},
        {"token_introspection": {"active": "yes"}},
        {"token_introspection": DESCRIPTION | {"exp": None}},
        {"token_introspection": DESCRIPTION | {"sub": None}},
        {"token_introspection": DESCRIPTION | {"aud": None}},
    ],
)
async def test_a_statement_that_does_not_hold_is_trouble(
    broker: Broker, product: Product, claims: dict[str, Any]
) -> None:
    product.on_introspect = lambda _: stated(product, **claims)
    assert (await broker.introspect(TOKEN)).status_code == 503
    assert product.exchanges == []


async def test_an_access_token_is_not_taken_for_a_statement(broker: Broker, product: Product) -> None:
    jwt = product.sign(aud="token-broker", sub="john", token_introspection=DESCRIPTION)
    headers = {"content-type": "application/token-introspection+jwt"}
    product.on_introspect = lambda _: httpx.Response(200, text=jwt, headers=headers)
    assert (await broker.introspect(TOKEN)).status_code == 503


async def test_a_forged_statement_is_trouble(broker: Broker, product: Product) -> None:
    good, product.key = product.key, ec_key("ec-1")
    forged = stated(product)
    product.key = good
    product.on_introspect = lambda _: forged
    assert (await broker.introspect(TOKEN)).status_code == 503


@pytest.mark.parametrize(
    "changes",
    [{"sub": "jane"}, {"scope": "stocks/read stocks/trade"}, {"exp": NOW + 901}, {"aud": API}],
)
async def test_a_jwt_that_does_not_match_its_description_is_refused(
    broker: Broker, product: Product, changes: dict[str, Any]
) -> None:
    product.on_token = lambda form: exchanged(product, form, **changes)
    assert (await broker.introspect(TOKEN)).status_code == 503


async def test_a_token_that_died_between_description_and_exchange_is_inactive(
    broker: Broker, product: Product
) -> None:
    def refuse(_: Form) -> httpx.Response:
        product.on_introspect = lambda _: stated(product, {"active": False})
        return httpx.Response(400, json={"error": "invalid_grant", "error_description": "grant is expired"})

    product.on_token = refuse
    assert (await broker.introspect(TOKEN)).status_code == 204


async def test_a_server_that_does_not_exchange_for_the_resource_does_not_fit(
    broker: Broker, product: Product
) -> None:
    product.on_token = lambda _: httpx.Response(400, json={"error": "invalid_target"})
    assert (await broker.introspect(TOKEN)).status_code == 503


async def test_a_withdrawn_key_makes_the_broker_ask_again(broker: Broker, product: Product) -> None:
    assert (await broker.introspect(TOKEN)).status_code == 200
    product.key = ec_key("ec-2")
    broker.clock.seconds += 59
    assert (await broker.introspect(TOKEN)).status_code == 200


INSTANCE = "https://zitadel.test"
PROJECT = "2817"
ZITADEL = f"""extends = "zitadel"
[targets."{RESOURCE}"]
value = "{PROJECT}"
aud = "{PROJECT}"
[targets."{API}"]
value = "2818"
aud = "2818"
"""
TYPE_JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def zitadel() -> Product:
    instance = Product(
        INSTANCE,
        typ="JWT",
        introspection_endpoint=f"{INSTANCE}/oauth/v2/introspect",
        token_endpoint=f"{INSTANCE}/oauth/v2/token",
    )
    described = DESCRIPTION | {"aud": ["agent-1", PROJECT, "2818"], "iss": INSTANCE, "username": "john"}
    instance.on_introspect = lambda _: httpx.Response(200, json=described)

    def answer(form: Form) -> httpx.Response:
        claims: dict[str, Any] = {"aud": [form["audience"]], "sub": "john", "client_id": "token-broker"}
        jwt = instance.sign(**claims, scope=form["scope"], exp=NOW + 43199, nbf=NOW, jti="V2_1")
        return granted(jwt, expires_in=43199, scope=form["scope"], issued_token_type=TYPE_JWT)

    instance.on_token = answer
    return instance


async def test_zitadel_is_asked_for_jwts_of_its_projects(front: Front, zitadel: Product) -> None:
    broker = await front(zitadel, ZITADEL)
    response = await broker.exchange(TOKEN)
    assert response.json()["expires_in"] == 900
    assert [form["audience"] for form in zitadel.exchanges] == [PROJECT, "2818"]
    assert {form["requested_token_type"] for form in zitadel.exchanges} == {TYPE_JWT}


async def test_an_opaque_answer_of_zitadel_is_no_token_for_an_api(front: Front, zitadel: Product) -> None:
    zitadel.on_token = lambda _: granted("opaque-2", issued_token_type=TYPE_JWT)
    broker = await front(zitadel, ZITADEL)
    assert (await broker.exchange(TOKEN)).status_code == 503


async def test_zitadel_says_invalid_request_of_a_dead_token(front: Front, zitadel: Product) -> None:
    broker = await front(zitadel, ZITADEL)
    assert (await broker.introspect(TOKEN)).status_code == 200
    refusal = {"error": "invalid_request", "error_description": "subject_token is invalid"}
    zitadel.on_token = lambda _: httpx.Response(400, json=refusal)
    zitadel.on_introspect = lambda _: httpx.Response(200, json={"active": False})
    assert (await broker.exchange(TOKEN)).json()["error"] == "invalid_grant"


async def test_a_token_that_is_bound_to_a_key_is_never_replaced_by_a_jwt_that_is_not(
    broker: Broker, product: Product
) -> None:
    bound = {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}
    product.on_introspect = lambda _: stated(product, DESCRIPTION | bound)
    assert (await broker.introspect(TOKEN)).status_code == 204
    product.on_token = lambda form: exchanged(product, form, **bound)
    assert (await broker.introspect("opaque-2")).status_code == 200
