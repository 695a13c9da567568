"""Curity: https://curity.io/resources/learn/introspect-with-phantom-token and .../token-exchange-flow."""

from typing import Any

import httpx
import pytest

from tests.support.issuer import NOW
from tests.token_broker.conftest import API, RESOURCE
from tests.token_broker.products.conftest import Front
from tests.token_broker.products.product import Product, basic_pair, granted, without_proof

ISSUER = "https://login.curity.test/oauth/v2/oauth-anonymous"
TOKEN = "_0XBPWQQ_5a2c"
CLAIMS: dict[str, Any] = {
    "jti": "P$1",
    "delegationId": "f6f8-delegation",
    "sub": "john",
    "scope": "stocks/read",
    "client_id": "agent-1",
    "purpose": "access_token",
    "nbf": NOW,
}


@pytest.fixture
def product() -> Product:
    curity = Product(
        ISSUER, typ="JWT", introspection_endpoint=f"{ISSUER}/introspect", token_endpoint=f"{ISSUER}/token"
    )
    phantom = curity.sign(aud=RESOURCE, **CLAIMS)
    jwt = httpx.Response(200, text=phantom, headers={"content-type": "application/jwt;charset=UTF-8"})
    curity.on_introspect = lambda form: jwt if form["token"] == TOKEN else httpx.Response(204)
    curity.on_token = lambda form: granted(
        curity.sign(aud=form["audience"], **CLAIMS),
        token_type="bearer",
        scope=form["scope"],
        issued_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    return curity


async def test_introspection_gives_the_phantom_or_204(front: Front, product: Product) -> None:
    broker = await front(product, "curity")
    assert (await broker.introspect(TOKEN)).status_code == 200
    assert (await broker.introspect("unknown")).status_code == 204
    assert product.headers[0]["accept"] == "application/jwt"


async def test_the_exchange_names_the_audience(front: Front, product: Product) -> None:
    broker = await front(product, "curity")
    assert (await broker.exchange(TOKEN)).status_code == 200
    assert without_proof(product.exchanges[0])["audience"] == API


async def test_a_token_procedure_may_put_the_phantom_into_a_member(front: Front, product: Product) -> None:
    phantom = product.sign(aud=RESOURCE, **CLAIMS)
    document = {"active": True, "phantom_token": phantom}
    product.on_introspect = lambda form: httpx.Response(
        200, json=document if form["token"] == TOKEN else {"active": False}
    )
    profile = 'extends = "curity"\n[introspection]\nmode = "json_jwt_field"\nfield = "phantom_token"\n'
    broker = await front(product, profile)
    assert (await broker.introspect(TOKEN)).text == phantom
    assert (await broker.introspect("unknown")).status_code == 204
    assert {headers["accept"] for headers in product.headers} == {"application/json"}
    for other in ({"active": True}, {"active": True, "phantom_token": "opaque"}, {"phantom_token": phantom}):
        product.on_introspect = lambda _, other=other: httpx.Response(200, json=other)
        assert (await broker.introspect("another")).status_code == 503


async def test_the_broker_may_prove_itself_by_basic(front: Front, product: Product) -> None:
    profile = 'extends = "curity"\n[client]\nauthentication = "client_secret_basic"\n'
    broker = await front(product, profile, client_id="token:broker")
    assert (await broker.exchange(TOKEN)).status_code == 200
    assert {basic_pair(headers) for headers in product.headers} == {("token:broker", "s3cret:&=")}
    assert "client_assertion" not in product.exchanges[0]


async def test_the_broker_may_prove_itself_by_post(front: Front, product: Product) -> None:
    broker = await front(product, 'extends = "curity"\n[client]\nauthentication = "client_secret_post"\n')
    assert (await broker.exchange(TOKEN)).status_code == 200
    assert product.exchanges[0]["client_secret"] == "s3cret:&="
    assert "authorization" not in product.headers[0]
