from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from authcore.http_client import pooled_client
from tests.support.issuer import Clock
from tests.token_broker.products.product import Product, ec_product, granted
from token_broker.profile_check import ProfileCheck
from token_broker.profiles import load_profile
from token_broker.settings import Settings

ISSUER = "https://op.test/tenant"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
METADATA = "https://op.test/.well-known/oauth-authorization-server/tenant"


@pytest.fixture
def product() -> Product:
    good = ec_product(ISSUER, introspection_endpoint=f"{ISSUER}/introspect", token_endpoint=f"{ISSUER}/token")
    good.pages[METADATA] = {
        "issuer": ISSUER,
        "jwks_uri": good.jwks_uri,
        "token_endpoint": good.token_endpoint,
        "introspection_endpoint": good.introspection_endpoint,
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    }
    good.on_introspect = lambda _: httpx.Response(204)
    good.on_token = lambda _: httpx.Response(400, json={"error": "invalid_grant"})
    return good


async def findings(settings: Settings, product: Product, profile: str = "embedded") -> list[str]:
    told = settings.model_copy(
        update={
            "issuer": product.issuer,
            "jwks_uri": product.jwks_uri,
            "introspection_endpoint": product.introspection_endpoint,
            "token_endpoint": product.token_endpoint,
        }
    )
    async with pooled_client(timeout_seconds=1, transport=product.transport()) as client:
        check = ProfileCheck(told, load_profile(profile), client, now=Clock())
        return [f"{finding.fits} {finding.what}" async for finding in check.findings()]


async def test_a_server_that_fits_is_said_to_fit_point_by_point(settings: Settings, product: Product) -> None:
    assert await findings(settings, product) == [
        "True metadata: issuer, endpoints, client authentication and grant type are as published",
        "True keys: there are keys for ES256",
        "True introspection: we are authenticated, and an unknown token is called inactive",
        "True exchange: the grant type is ours to use, and a dead subject token is refused as invalid_grant",
    ]
    assert len(product.introspections) == len(product.exchanges) == 1


async def test_openid_discovery_will_do_and_nothing_published_is_not_held_against_it(
    settings: Settings, product: Product
) -> None:
    product.pages[DISCOVERY] = product.pages.pop(METADATA)
    assert (await findings(settings, product))[0].startswith("True metadata")
    product.pages.clear()
    assert (await findings(settings, product))[0].startswith("None metadata: nothing is published")


@pytest.mark.parametrize(
    ("member", "value", "finding"),
    [
        ("issuer", "https://op.test/other", "issuer is published as 'https://op.test/other', not as 'https"),
        ("token_endpoint", "https://op.test/t", "token_endpoint is published as"),
        (
            "grant_types_supported",
            ["authorization_code"],
            "urn:ietf:params:oauth:grant-type:token-",
        ),
        ("token_endpoint_auth_methods_supported", ["none"], "private_key_jwt is not among token_endpoint_au"),
    ],
)
async def test_metadata_that_says_otherwise_does_not_fit(
    settings: Settings, product: Product, member: str, value: Any, finding: str
) -> None:
    product.pages[METADATA][member] = value
    assert (await findings(settings, product))[0].startswith(f"False metadata: {finding}")


async def test_keys_of_another_algorithm_do_not_fit(settings: Settings, product: Product) -> None:
    product.key = ECKey.generate_key("P-384", {"kid": "ec-384", "alg": "ES384", "use": "sig"}, private=True)
    assert (await findings(settings, product))[1] == "False keys: no key for any of ES256, PS256, RS256"


async def test_a_client_that_is_not_known_there_is_named_at_both_endpoints(
    settings: Settings, product: Product
) -> None:
    refusal = httpx.Response(401, json={"error": "invalid_client"})
    product.on_introspect = product.on_token = lambda _: refusal
    found = await findings(settings, product)
    assert found[2] == (
        "False introspection: temporarily_unavailable: introspection was answered with 401 invalid_client"
    )
    assert found[3].startswith("False exchange: ")
    assert found[3].endswith("401 invalid_client")


async def test_introspection_in_another_form_does_not_fit(settings: Settings, product: Product) -> None:
    product.on_introspect = lambda _: httpx.Response(200, json={"active": True})
    assert (await findings(settings, product))[2].startswith("False introspection: ")


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (httpx.Response(400, json={"error": "unsupported_grant_type"}), "400 unsupported_grant_type"),
        (httpx.Response(400, json={"error": "unauthorized_client"}), "400 unauthorized_client"),
        (httpx.Response(400, json={"error": "invalid_target"}), "see `targets` of the profile"),
        (granted("e30.e30.c2ln", issued_token_type="urn:ietf:params:oauth:token-type:jwt"), "garbage was"),
    ],
)
async def test_an_exchange_that_is_refused_for_another_reason_does_not_fit(
    settings: Settings, product: Product, answer: httpx.Response, finding: str
) -> None:
    product.on_token = lambda _: answer
    found = (await findings(settings, product))[3]
    assert found.startswith("False exchange: ")
    assert finding in found


async def test_a_signed_inactive_fits_rfc9701(settings: Settings, product: Product) -> None:
    def statement(active: object) -> httpx.Response:
        jwt = product.sign("token-introspection+jwt", token_introspection={"active": active})
        return httpx.Response(200, text=jwt, headers={"content-type": "application/token-introspection+jwt"})

    product.on_introspect = lambda _: statement(False)
    assert (await findings(settings, product, "oidc-provider"))[2].startswith("True introspection")
    product.on_introspect = lambda _: statement(True)
    assert (await findings(settings, product, "oidc-provider"))[2].startswith("False introspection")


async def test_no_assertion_is_made_just_to_try(settings: Settings, product: Product) -> None:
    told = settings.model_copy(update={"assertion_key": settings.client_key})
    product.on_introspect = lambda _: httpx.Response(200, json={"active": False})
    assert (await findings(told, product, "hydra"))[3].startswith("None exchange: not tried")
    assert product.exchanges == []


async def test_what_is_not_asked_is_not_tried(settings: Settings, product: Product) -> None:
    names = [finding.split()[1] for finding in await findings(settings, product, "auth0")]
    assert names == ["metadata:", "keys:", "exchange:"]
