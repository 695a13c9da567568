"""What a hand-made client gets from the running system."""

from collections.abc import Callable
from typing import Any

import pytest

from demo.parts import API_AUDIENCE
from tests.support.system import JOHN, System, payload

LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


async def test_without_a_token_the_challenge_tells_where_to_get_one_and_names_no_error(
    system: System,
) -> None:
    response = await system.post(LIST, None)
    challenge = response.headers["www-authenticate"]
    assert response.status_code == 401
    assert 'scope="stocks/read"' in challenge
    assert "error" not in challenge
    url = challenge.partition('resource_metadata="')[2].partition('"')[0]
    document = (await system.http.get(url)).json()
    assert document["resource"] == system.stack.addresses.mcp
    assert document["authorization_servers"] == [system.stack.addresses.issuer]


FORGERIES: dict[str, Callable[[System, str], str]] = {
    "garbage": lambda _s, _t: "garbage",
    "expired": lambda s, t: s.forge(t, exp=payload(t)["iat"] - 3600, nbf=None, iat=None),
    "another audience": lambda s, t: s.forge(t, aud="https://elsewhere.example"),
    "another issuer": lambda s, t: s.forge(t, iss="https://elsewhere.example"),
    "no expiry": lambda s, t: s.forge(t, exp=None),
    "another type": lambda s, t: s.forge(t, header={"typ": "JWT"}),
    "a cut signature": lambda _s, t: t[:-4],
}


@pytest.mark.parametrize("kind", FORGERIES)
async def test_a_bad_token_is_401_invalid_token_even_if_signed_with_the_true_key(
    system: System, kind: str
) -> None:
    phantom = await system.phantom(await system.token(JOHN))
    assert (await system.post(LIST, system.forge(phantom))).status_code == 200
    response = await system.post(LIST, FORGERIES[kind](system, phantom))
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_token_is_good_at_its_own_audience_only(system: System) -> None:
    token = await system.token(JOHN)
    for_gateway, for_api = await system.phantom(token), await system.exchanged(token)
    assert (await system.post(LIST, for_gateway)).status_code == 200
    assert (await system.stocks(for_api)).status_code == 200
    for answer in (await system.post(LIST, for_api), await system.stocks(for_gateway)):
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert (await system.stocks(token)).status_code == 401


async def test_the_exchanged_token_carries_less_and_says_who_acts(system: System) -> None:
    token = await system.token(JOHN)
    subject: dict[str, Any] = payload(await system.phantom(token))
    issued: dict[str, Any] = payload(await system.exchanged(token))
    assert issued["aud"] == API_AUDIENCE
    assert issued["act"] == {"sub": "mcp-gateway", "act": {"sub": "token-broker"}}
    assert issued["exp"] <= subject["exp"]
    assert issued["jti"] != subject["jti"]
    same = ("iss", "sub", "delegationId", "region", "client_type", "client_assurance_level", "purpose")
    assert {name: issued[name] for name in same} == {name: subject[name] for name in same}


async def test_a_60_kilobyte_authorization_header_is_a_clean_refusal_everywhere(system: System) -> None:
    huge = "a" * 60_000
    assert (await system.post(LIST, huge)).status_code == 431
    assert (await system.stocks(huge)).status_code == 431


async def test_malformed_json_is_a_parse_error_only_for_somebody_known(system: System) -> None:
    response = await system.post(b'{"jsonrpc": ', await system.token(JOHN))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32700)
    assert (await system.post(b'{"jsonrpc": ', None)).status_code == 401
