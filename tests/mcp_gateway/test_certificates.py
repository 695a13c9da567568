"""Tokens that are bound to a client certificate, at the gateway behind a proxy (RFC 8705, RFC 9440)."""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncGenerator

import httpx
import pytest
from pydantic import SecretStr

from mcp_gateway.settings import Settings
from tests.mcp_gateway.bound import CALL, call, challenge, proof
from tests.mcp_gateway.conftest import Gateway, running
from tests.support.dpop import DPoPKey
from tests.support.issuer import Clock
from tests.support.messages import LEGACY

CERTIFICATE = b"the DER of a certificate"
THUMBPRINT = urlsafe_b64encode(hashlib.sha256(CERTIFICATE).digest()).rstrip(b"=").decode()
CLIENT_CERT = {"client-cert": f":{b64encode(CERTIFICATE).decode()}:"}


@pytest.fixture
async def behind_proxy(settings: Settings, clock: Clock, redis_url: str) -> AsyncGenerator[Gateway]:
    """A gateway whose peers are its proxies: the test client's address is one."""
    changes = {"trusted_proxies": frozenset({"127.0.0.0/8"}), "redis_url": SecretStr(redis_url)}
    trusting = settings.model_copy(update=changes)
    async with running(trusting, clock) as gateway:
        gateway.network.broker.tokens["certified"] = {"cnf": {"x5t#S256": THUMBPRINT}}
        yield gateway


async def certified(gateway: Gateway, **headers: str) -> httpx.Response:
    return await call(gateway, scheme="Bearer", token="certified", **headers)


@pytest.mark.requirement("certificate-bound")
async def test_a_certificate_bound_token_needs_the_certificate_that_the_proxy_saw(
    behind_proxy: Gateway,
) -> None:
    assert (await certified(behind_proxy, **CLIENT_CERT)).status_code == 200
    other = {"client-cert": f":{b64encode(b'another').decode()}:"}
    for headers in (
        {},
        other,
        {"client-cert": "nonsense"},
        {"client-cert": "::"},
        {"client-cert": CERTIFICATE.decode()},
        {"x-client-cert": CLIENT_CERT["client-cert"]},
    ):
        response = await certified(behind_proxy, **headers)
        assert response.status_code == 401
        assert 'error="invalid_token"' in challenge(response)


async def test_two_certificates_are_none(behind_proxy: Gateway) -> None:
    headers = [*LEGACY.items(), ("authorization", "Bearer certified"), *(2 * list(CLIENT_CERT.items()))]
    response = await behind_proxy.http.post("/mcp", json=CALL, headers=headers)
    assert response.status_code == 400


@pytest.mark.requirement("certificate-bound")
async def test_the_header_is_worth_nothing_when_no_proxy_of_ours_sends_it(gateway: Gateway) -> None:
    gateway.network.broker.tokens["certified"] = {"cnf": {"x5t#S256": THUMBPRINT}}
    assert (await certified(gateway, **CLIENT_CERT)).status_code == 401


async def test_a_token_bound_in_two_ways_needs_both(behind_proxy: Gateway, key: DPoPKey) -> None:
    behind_proxy.network.broker.tokens["bound"] = {"cnf": {"jkt": key.thumbprint, "x5t#S256": THUMBPRINT}}
    assert (await call(behind_proxy, proof(key))).status_code == 401
    assert (await call(behind_proxy, scheme="Bearer", **CLIENT_CERT)).status_code == 401
    assert (await call(behind_proxy, proof(key), **CLIENT_CERT)).status_code == 200


async def test_certificate_bound_tokens_are_in_the_metadata_where_they_can_be_checked(
    behind_proxy: Gateway,
) -> None:
    document = (await behind_proxy.http.get("/.well-known/oauth-protected-resource")).json()
    assert document["tls_client_certificate_bound_access_tokens"] is True
