"""The authorization server wants the user again: the agent is told what to ask for."""

import json
from base64 import b64decode
from typing import Any

import httpx
import pytest

from tests.mcp_gateway.conftest import METADATA, Gateway

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


def wanted(gateway: Gateway, path: str = "/token", **demand: Any) -> None:
    """Have the broker say so when it is asked for this."""
    body = {"error": "invalid_grant", "error_description": "The user must authenticate again"} | demand
    gateway.network.broker.answer = lambda request: (
        httpx.Response(400, json=body) if request.url.path == path else None
    )


@pytest.mark.parametrize("path", ["/token", "/introspect"])
@pytest.mark.requirement("user-wanted")
async def test_the_agent_is_told_which_authentication_to_ask_for(gateway: Gateway, path: str) -> None:
    wanted(gateway, path, acr_values="urn:acr:mfa", max_age=300)
    response = await gateway.call("fetch-stock-prices")
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="urn:acr:mfa", max_age="300"' in challenge
    assert f'resource_metadata="{METADATA}"' in challenge
    assert response.json() == {
        "error": "insufficient_user_authentication",
        "error_description": "The user must authenticate again",
        "acr_values": "urn:acr:mfa",
        "max_age": 300,
    }


@pytest.mark.requirement("user-wanted")
async def test_a_claims_request_reaches_the_agent(gateway: Gateway) -> None:
    wanted(gateway, claims=CLAIMS)
    response = await gateway.call("fetch-stock-prices")
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in challenge
    encoded = challenge.partition('claims="')[2].partition('"')[0]
    assert b64decode(encoded).decode() == response.json()["claims"] == CLAIMS


@pytest.mark.parametrize(
    "demand",
    [
        {"acr_values": 'x", error="insufficient_scope'},
        {"acr_values": "x\r\nset-cookie: a=b"},
        {"claims": "c" * 5000},
        {"claims": json.dumps(["not", "an", "object"])},
        {"max_age": "soon"},
        {},
    ],
)
async def test_what_makes_no_sense_does_not_reach_the_header(
    gateway: Gateway, demand: dict[str, Any]
) -> None:
    wanted(gateway, **demand)
    response = await gateway.call("fetch-stock-prices")
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"
    assert response.headers["www-authenticate"].count('error="') == 1
    assert "set-cookie" not in response.headers


async def test_the_next_call_asks_again(gateway: Gateway) -> None:
    wanted(gateway, acr_values="urn:acr:mfa")
    assert (await gateway.call("fetch-stock-prices")).status_code == 401
    gateway.network.broker.answer = lambda _: None
    assert (await gateway.call("fetch-stock-prices")).status_code == 200
