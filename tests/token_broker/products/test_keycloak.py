"""Keycloak 26, standard token exchange: https://www.keycloak.org/securing-apps/token-exchange."""

from typing import Any

import httpx
import pytest

from tests.support.issuer import NOW
from tests.token_broker.conftest import API, RESOURCE, Broker
from tests.token_broker.products.conftest import Front
from tests.token_broker.products.product import (
    Form,
    Product,
    assertion_of,
    ec_product,
    granted,
    without_proof,
)

REALM = "https://sso.test/realms/demo"
SUBJECT: dict[str, Any] = {
    "aud": [RESOURCE, "token-broker"],
    "sub": "9d2f1f8e-user",
    "typ": "Bearer",
    "azp": "agent-1",
    "sid": "5c6b-session",
    "jti": "onrtac:1",
    "scope": "stocks/read",
    "region": "USA",
}


@pytest.fixture
def product() -> Product:
    keycloak = ec_product(
        REALM,
        introspection_endpoint=f"{REALM}/protocol/openid-connect/token/introspect",
        token_endpoint=f"{REALM}/protocol/openid-connect/token",
    )
    keycloak.on_introspect = lambda _: httpx.Response(200, json={"active": True, **SUBJECT})
    keycloak.on_token = lambda form: exchanged(keycloak, form)
    return keycloak


def exchanged(keycloak: Product, form: Form, **changes: Any) -> httpx.Response:
    # A lifetime of its own, the broker as `azp`.
    claims = SUBJECT | {"aud": form["audience"], "azp": "token-broker", "exp": NOW + 1200, "jti": "trrtte:2"}
    return granted(
        keycloak.sign(**claims | changes),
        issued_token_type="urn:ietf:params:oauth:token-type:access_token",
        refresh_expires_in=0,
        **{"not-before-policy": 0, "session_state": None, "scope": form["scope"]},
    )


@pytest.fixture
async def broker(front: Front, product: Product) -> Broker:
    return await front(product, "keycloak")


async def test_the_request_is_that_of_the_documentation(broker: Broker, product: Product) -> None:
    token = product.sign(**SUBJECT)
    response = await broker.exchange(token)
    assert response.status_code == 200
    (form,) = product.exchanges
    assert without_proof(form) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": API,
        "scope": "stocks/read",
    }
    assert assertion_of(form)["aud"] == REALM


async def test_an_exchanged_token_is_not_given_out_for_longer_than_its_subject_lives(
    broker: Broker, product: Product
) -> None:
    response = await broker.exchange(product.sign(**SUBJECT))
    assert response.json()["expires_in"] == 900


async def test_a_presented_token_must_still_be_active_and_is_asked_about_every_minute(
    broker: Broker, product: Product
) -> None:
    token = product.sign(**SUBJECT)
    assert (await broker.introspect(token)).text == token
    assert (await broker.introspect(token)).text == token
    assert len(product.introspections) == 1
    product.on_introspect = lambda _: httpx.Response(200, json={"active": False})
    broker.clock.seconds += 59
    assert (await broker.introspect(token)).status_code == 200
    broker.clock.seconds += 1
    assert (await broker.introspect(token)).status_code == 204
    assert (await broker.exchange(token)).json()["error"] == "invalid_grant"


async def test_a_revoked_delegation_is_not_served_from_memory_for_more_than_a_minute(
    broker: Broker, product: Product
) -> None:
    token = product.sign(**SUBJECT)
    await broker.exchange(token)
    await broker.exchange(token)
    assert len(product.exchanges) == 1
    broker.clock.seconds += 60
    await broker.exchange(token)
    assert len(product.exchanges) == 2


async def test_an_opaque_or_forged_token_is_inactive_without_asking(broker: Broker, product: Product) -> None:
    forged = ec_product(REALM).sign(**SUBJECT)
    for token in ("opaque", forged, product.sign(**SUBJECT | {"aud": ["account"]})):
        assert (await broker.introspect(token)).status_code == 204
    assert product.introspections == []


async def test_a_token_of_another_type_is_refused(broker: Broker, product: Product) -> None:
    assert (await broker.introspect(product.sign("JWT", **SUBJECT))).status_code == 204


@pytest.mark.parametrize(
    ("status", "code", "description", "answer"),
    [
        (400, "invalid_request", "Invalid token", (503, "temporarily_unavailable")),
        (403, "access_denied", "Client is not within the token audience", (400, "access_denied")),
        (400, "invalid_scope", "Invalid scopes: stocks/trade", (400, "invalid_scope")),
        (400, "invalid_client", "Audience not found", (503, "temporarily_unavailable")),
        (
            401,
            "invalid_client",
            "Invalid client credentials",
            (503, "temporarily_unavailable"),
        ),
        (400, "invalid_request", "Requested audience not available: x", (503, "temporarily_unavailable")),
    ],
)
async def test_refusals_of_the_documentation(
    broker: Broker, product: Product, status: int, code: str, description: str, answer: tuple[int, str]
) -> None:
    product.on_token = lambda _: httpx.Response(
        status, json={"error": code, "error_description": description}
    )
    response = await broker.exchange(product.sign(**SUBJECT))
    assert (response.status_code, response.json()["error"]) == answer


async def test_an_audience_that_was_not_filtered_is_refused(broker: Broker, product: Product) -> None:
    product.on_token = lambda form: exchanged(product, form, aud=[API, "account"])
    assert (await broker.exchange(product.sign(**SUBJECT))).status_code == 503


async def test_a_scope_that_was_added_is_refused(broker: Broker, product: Product) -> None:
    product.on_token = lambda form: exchanged(product, form, scope="stocks/read profile email")
    assert (await broker.exchange(product.sign(**SUBJECT))).status_code == 503


async def test_an_api_known_by_another_client_id_is_asked_for_by_that(front: Front, product: Product) -> None:
    profile = f'extends = "keycloak"\n[targets."{API}"]\nvalue = "stocks-api"\naud = "stocks-api"\n'
    broker = await front(product, profile)
    assert (await broker.exchange(product.sign(**SUBJECT))).status_code == 200
    assert product.exchanges[0]["audience"] == "stocks-api"


async def test_a_lightweight_token_has_its_full_jwt_in_a_member_of_introspection(
    front: Front, product: Product
) -> None:
    full = product.sign(**SUBJECT)
    product.on_introspect = lambda _: httpx.Response(200, json={"active": True, "jwt": full})
    mode = 'mode = "json_jwt_field"\naccept = "application/jwt"\nactivity = false'
    broker = await front(product, f'extends = "keycloak"\n[introspection]\n{mode}\n')
    lightweight = product.sign(aud=SUBJECT["aud"], jti="ltrt:1", azp="agent-1", sid="5c6b-session")
    assert (await broker.introspect(lightweight)).text == full
    assert product.headers[0]["accept"] == "application/jwt"
