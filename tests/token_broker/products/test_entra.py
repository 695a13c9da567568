"""Microsoft Entra ID: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow."""

import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.support.issuer import NOW
from tests.token_broker.conftest import API, RESOURCE, Broker
from tests.token_broker.products.conftest import Front
from tests.token_broker.products.product import Form, Product, assertion_of, granted, rsa_key, without_proof

TENANT = "https://login.microsoftonline.test/0f1e-tenant"
BROKER_APP = "11111111-aaaa"
API_APP = "22222222-bbbb"
PROFILE = f"""extends = "entra"
[targets."{RESOURCE}"]
value = "api://{BROKER_APP}"
aud = "{BROKER_APP}"
[targets."{API}"]
value = "api://{API_APP}"
aud = "{API_APP}"
"""


@pytest.fixture
def product() -> Product:
    entra = Product(f"{TENANT}/v2.0", typ="JWT", token_endpoint=f"{TENANT}/oauth2/v2.0/token")
    entra.on_token = lambda _: exchanged(entra)
    return entra


def subject(entra: Product, **changes: Any) -> str:
    claims: dict[str, Any] = {
        "ver": "2.0",
        "aud": BROKER_APP,
        "sub": "pairwise-for-the-broker",
        "oid": "00000000-john",
        "azp": "agent-1",
        "uti": "uti-1",
        "sid": "session-1",
        "scp": "stocks/read stocks/trade",
        "roles": ["ignored"],
    }
    return entra.sign(**claims | changes)


def exchanged(entra: Product, **changes: Any) -> httpx.Response:
    # Pairwise `sub`, all scopes that were consented to, another `uti`, no `sid`.
    other = {"aud": API_APP, "sub": "pairwise-for-the-api", "azp": BROKER_APP, "uti": "uti-2", "sid": None}
    token = subject(entra, **other | {"exp": NOW + 4799} | changes)
    return granted(token, expires_in=4799, ext_expires_in=4799, scope=f"api://{API_APP}/stocks/read")


@pytest.fixture
async def broker(front: Front, product: Product) -> Broker:
    key = rsa_key().as_dict(private=True) | {"alg": "PS256", "kid": "cert", "x5t#S256": "thumbprint"}
    return await front(product, PROFILE, client_id=BROKER_APP, client_key=SecretStr(json.dumps(key)))


async def test_the_request_is_that_of_the_documentation(broker: Broker, product: Product) -> None:
    token = subject(product)
    response = await broker.exchange(token)
    assert response.status_code == 200
    (form,) = product.exchanges
    assert without_proof(form) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "assertion": token,
        "scope": f"api://{API_APP}/stocks/read",
    }
    proof = assertion_of(form)
    assert (proof["alg"], proof["x5t#S256"], proof["aud"]) == ("PS256", "thumbprint", product.token_endpoint)


async def test_scopes_beyond_the_request_pass_if_the_subject_and_the_caller_have_them(
    broker: Broker, product: Product
) -> None:
    response = await broker.exchange(subject(product))
    assert response.json()["scope"] == "stocks/read stocks/trade"


@pytest.mark.parametrize("scope", ["stocks/read stocks/delete", "stocks/read"])
async def test_scopes_beyond_the_subjects_never_pass(broker: Broker, product: Product, scope: str) -> None:
    response = await broker.exchange(subject(product, scp=scope))
    assert response.status_code == 503
    assert "access_token" not in response.json()


async def test_scopes_beyond_the_callers_never_pass(broker: Broker, product: Product) -> None:
    product.on_token = lambda _: exchanged(product, scp="stocks/read admin")
    response = await broker.exchange(subject(product, scp="stocks/read admin"))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("changes", [{"oid": "00000000-jane"}, {"oid": None}, {"aud": BROKER_APP}])
async def test_a_token_of_another_user_or_for_another_application_is_refused(
    broker: Broker, product: Product, changes: dict[str, Any]
) -> None:
    product.on_token = lambda _: exchanged(product, **changes)
    assert (await broker.exchange(subject(product))).status_code == 503


async def test_a_token_for_another_application_is_inactive(broker: Broker, product: Product) -> None:
    assert (await broker.introspect(subject(product, aud=API_APP))).status_code == 204


CLAIMS = '{"access_token":{"polids":{"essential":true,"values":["9ab03e19-ed42"]}}}'


async def test_a_claims_challenge_reaches_the_caller(broker: Broker, product: Product) -> None:
    product.on_token = lambda _: httpx.Response(
        400,
        json={
            "error": "interaction_required",
            "error_description": "AADSTS50079: Due to a configuration change made by your administrator ...",
            "error_codes": [50079],
            "claims": CLAIMS,
        },
    )
    response = await broker.exchange(subject(product))
    assert response.status_code == 400
    assert response.json() == {
        "error": "invalid_grant",
        "error_description": "The user must authenticate again",
        "claims": CLAIMS,
    }


async def test_a_demand_as_rfc9470_has_it_reaches_the_caller(broker: Broker, product: Product) -> None:
    body = {"error": "insufficient_user_authentication", "acr_values": "urn:acr:mfa", "max_age": 300}
    product.on_token = lambda _: httpx.Response(400, json=body)
    response = await broker.exchange(subject(product))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
    assert (response.json()["acr_values"], response.json()["max_age"]) == ("urn:acr:mfa", 300)


@pytest.mark.parametrize("claims", [None, {"not": "text"}, "x" * 3000])
async def test_a_claims_challenge_that_makes_no_sense_is_left_out(
    broker: Broker, product: Product, claims: object
) -> None:
    body = {"error": "interaction_required", "claims": claims}
    product.on_token = lambda _: httpx.Response(400, json=body)
    response = await broker.exchange(subject(product))
    assert response.json()["error"] == "invalid_grant"
    assert "claims" not in response.json()


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (400, "invalid_grant", (400, "invalid_grant")),
        (400, "invalid_scope", (400, "invalid_scope")),
        (400, "invalid_resource", (503, "temporarily_unavailable")),
        (401, "invalid_client", (503, "temporarily_unavailable")),
    ],
)
async def test_refusals_of_the_documentation(
    broker: Broker, product: Product, status: int, code: str, answer: tuple[int, str]
) -> None:
    body: Form = {"error": code, "error_description": "AADSTS...", "correlation_id": "1", "trace_id": "2"}
    product.on_token = lambda _: httpx.Response(status, json=body)
    response = await broker.exchange(subject(product))
    assert (response.status_code, response.json()["error"]) == answer
