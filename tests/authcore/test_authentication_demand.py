import json
from base64 import b64decode

import pytest

from authcore.authentication_demand import AuthenticationDemand, demand_of
from authcore.challenge import bearer_challenge
from authcore.errors import InsufficientClaims, InsufficientUserAuthentication

CLAIMS = '{"access_token":{"polids":{"essential":true,"values":["9ab03e19-ed42"]}}}'


def test_what_is_demanded_is_taken_over() -> None:
    document: dict[str, object] = {"claims": CLAIMS, "acr_values": "urn:acr:mfa urn:acr:phr", "max_age": 300}
    demand = demand_of(document)
    assert demand == AuthenticationDemand(CLAIMS, "urn:acr:mfa urn:acr:phr", 300)
    assert demand
    assert demand_of({"max_age": "0"}) == AuthenticationDemand(max_age=0)


@pytest.mark.parametrize(
    "member",
    [
        {"claims": CLAIMS.replace("}", "", 1)},
        {"claims": "[]"},
        {"claims": {"a": 1}},
        {"claims": '{"a":NaN}'},
        {"claims": "[" * 2000},
        {"claims": json.dumps({"a": "x" * 3000})},
        {"claims": '{"a":"' + "ä" * 1000 + '"}'},
        {"acr_values": 'a" error="x'},
        {"acr_values": "a\r\nset-cookie: x"},
        {"acr_values": "ä"},
        {"acr_values": ""},
        {"acr_values": " ".join("abcdefghi")},
        {"acr_values": "a" * 129},
        {"acr_values": ["a"]},
        {"max_age": -1},
        {"max_age": True},
        {"max_age": 1e300},
        {"max_age": "9" * 10},
        {"max_age": "1\n"},
    ],
)
def test_what_makes_no_sense_is_left_out(member: dict[str, object]) -> None:
    assert not demand_of(member)


def test_a_challenge_carries_what_is_demanded() -> None:
    error = InsufficientUserAuthentication(AuthenticationDemand(acr_values="urn:acr:mfa", max_age=300))
    assert error.status == 401
    challenge = bearer_challenge(error, scope=("read",), resource_metadata="https://mcp.test/metadata")
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="urn:acr:mfa", max_age="300"' in challenge
    assert "claims" not in challenge


def test_a_claims_request_travels_in_base64_and_is_only_what_it_was() -> None:
    hostile = json.dumps({"id_token": {"x": {"value": '"\r\nset-cookie: a=b\u2028'}}})
    challenge = bearer_challenge(InsufficientClaims(demand_of({"claims": hostile})))
    assert challenge.isascii()
    assert challenge.isprintable()
    assert challenge.startswith('Bearer error="insufficient_claims"')
    encoded = challenge.partition('claims="')[2].partition('"')[0]
    assert json.loads(b64decode(encoded)) == json.loads(hostile)
