from pathlib import Path

import httpx
import pytest

from authcore.errors import InvalidToken
from authcore.jwks import JwksClient
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT
from authcore.validator import TokenProfile, TokenValidator
from authserver.policy import Policy, ScopePolicy
from tests.authserver.server import (
    API,
    BROKER,
    ISSUER,
    MCP,
    OTHER_API,
    AuthServer,
    public_jwks,
    serving,
    unverified,
)
from tests.support.issuer import Issuer, ec_key

TWO_SCOPES = Policy(
    scopes={
        "stocks/read": ScopePolicy(description="Read", purpose="read"),
        "stocks/trade": ScopePolicy(description="Trade", purpose="trade"),
    },
    default_scope=frozenset({"stocks/read"}),
)


def assert_refused(response: httpx.Response, error: str) -> None:
    assert response.status_code == 400, response.text
    assert response.json()["error"] == error
    assert "access_token" not in response.json()


async def test_the_exchanged_token_is_for_the_api_and_names_who_acts(server: AuthServer) -> None:
    token = await server.token()
    subject = (await server.introspect(token)).json()
    server.clock.seconds += 100
    response = await server.exchange(token, scope="stocks/read")
    answer = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert answer["issued_token_type"] == TOKEN_TYPE_ACCESS_TOKEN
    assert answer["token_type"] == "Bearer"
    assert answer["scope"] == "stocks/read"
    assert answer["expires_in"] == 800
    derived = await server.verified(answer["access_token"])
    assert derived.header["typ"] == "at+jwt"
    changed = {"aud": API, "act": {"sub": BROKER}, "iat": server.clock(), "nbf": server.clock()}
    expected = {name: value for name, value in subject.items() if name not in ("active", "token_type")}
    assert derived.claims | {"jti": ""} == expected | changed | {"jti": ""}
    assert derived.claims["jti"] != subject["jti"]


async def test_the_scope_can_be_narrowed_and_defaults_to_the_subjects(tmp_path: Path) -> None:
    async with serving(tmp_path, policy=TWO_SCOPES) as server:
        token = await server.token(scope="stocks/read stocks/trade")
        narrowed = (await server.exchange(token, scope="stocks/read")).json()
        assert narrowed["scope"] == "stocks/read"
        assert unverified(narrowed["access_token"])["scope"] == "stocks/read"
        assert (await server.exchange(token)).json()["scope"] == "stocks/read stocks/trade"


async def test_the_scope_cannot_be_widened(tmp_path: Path) -> None:
    async with serving(tmp_path, policy=TWO_SCOPES) as server:
        token = await server.token()
        for scope in ("stocks/trade", "stocks/read stocks/trade", "admin"):
            assert_refused(await server.exchange(token, scope=scope), "invalid_scope")


async def test_an_exchanged_token_cannot_get_back_what_it_gave_up(tmp_path: Path) -> None:
    async with serving(tmp_path, policy=TWO_SCOPES) as server:
        token = await server.token(scope="stocks/read stocks/trade")
        narrowed = (await server.exchange(token, scope="stocks/read")).json()["access_token"]
        assert_refused(await server.exchange(narrowed, scope="stocks/trade"), "invalid_scope")


async def test_a_scope_contains_what_is_below_it(server: AuthServer) -> None:
    token = await server.token(scope="stocks")
    for scope in ("stocks", "stocks/read", "stocks/trade", "stocks/read stocks/trade"):
        answer = (await server.exchange(token, scope=scope)).json()
        assert (answer["scope"], unverified(answer["access_token"])["scope"]) == (scope, scope)
    read = (await server.exchange(token, scope="stocks/read")).json()["access_token"]
    for scope in ("stocks", "stocks/trade", "stocks/read/all", "stock"):
        assert_refused(await server.exchange(read, scope=scope), "invalid_scope")
    assert_refused(await server.exchange(token, scope="stocks/unknown"), "invalid_scope")


@pytest.mark.parametrize(
    ("actors", "claim", "allowed"),
    [
        (None, None, True),
        ({BROKER}, {"sub": BROKER}, True),
        ({BROKER, "other"}, None, True),
        ({"other"}, {"sub": "other"}, False),
        (set[str](), None, False),
    ],
)
async def test_policy_names_who_may_act(
    tmp_path: Path, actors: set[str] | None, claim: dict[str, str] | None, allowed: bool
) -> None:
    may_act = None if actors is None else frozenset(actors)
    policy = Policy(
        scopes={"stocks/read": ScopePolicy(description="Read", purpose="read", may_act=may_act)},
        default_scope=frozenset({"stocks/read"}),
    )
    async with serving(tmp_path, policy=policy) as server:
        token = await server.token()
        assert (await server.introspect(token)).json().get("may_act") == claim
        response = await server.exchange(token)
        if allowed:
            assert response.status_code == 200
        else:
            assert_refused(response, "invalid_request")


async def test_an_audience_that_is_not_the_clients_is_refused(server: AuthServer) -> None:
    token = await server.token()
    for audience in (MCP, OTHER_API, "https://evil.example", "token-broker", None):
        assert_refused(await server.exchange(token, audience=audience), "invalid_target")


async def test_the_target_may_be_named_as_a_resource_but_only_one(server: AuthServer) -> None:
    token = await server.token()
    assert (await server.exchange(token, audience=None, resource=f"{API}/")).status_code == 200
    assert_refused(await server.exchange(token, resource=OTHER_API), "invalid_target")


async def test_a_subject_token_that_is_not_ours_is_refused(server: AuthServer) -> None:
    forged = Issuer(issuer=ISSUER, key=ec_key("forged")).sign(aud=API)
    foreign = Issuer().sign(aud=API)
    for token in ("nonsense", "a.b.c", forged, foreign):
        assert_refused(await server.exchange(token), "invalid_grant")


async def test_an_expired_subject_token_is_refused(server: AuthServer) -> None:
    token = await server.token()
    server.clock.seconds += 900
    assert_refused(await server.exchange(token), "invalid_grant")


async def test_acting_services_form_a_chain(tmp_path: Path) -> None:
    broker, second = ec_key("broker"), ec_key("second")
    clients = [
        {
            "client_id": name,
            "jwks": public_jwks(key),
            "grant_types": [GRANT_TOKEN_EXCHANGE],
            "introspection": name == BROKER,
            "audiences": [audience],
        }
        for name, key, audience in ((BROKER, broker, API), ("stocks", second, OTHER_API))
    ]
    async with serving(tmp_path, broker_key=broker, clients=clients) as server:
        first = (await server.exchange(await server.token())).json()["access_token"]
        server.clock.seconds += 50
        response = await server.exchange(
            first,
            audience=OTHER_API,
            subject_token_type=TOKEN_TYPE_JWT,
            **server.assertion(client_id="stocks", key=second),
        )
        claims = unverified(response.json()["access_token"])
        assert claims["act"] == {"sub": "stocks", "act": {"sub": BROKER}}
        assert claims["aud"] == OTHER_API
        assert claims["exp"] == unverified(first)["exp"]


async def test_a_chain_has_an_end(server: AuthServer) -> None:
    token = await server.token()
    for _ in range(8):
        token = (await server.exchange(token)).json()["access_token"]
    assert_refused(await server.exchange(token), "invalid_request")


async def test_what_is_not_supported_is_refused(server: AuthServer) -> None:
    token = await server.token()
    unsupported: list[dict[str, str | None]] = [
        {"subject_token": None},
        {"subject_token_type": None},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"subject_token_type": TOKEN_TYPE_JWT},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x", "actor_token_type": TOKEN_TYPE_ACCESS_TOKEN},
    ]
    for changes in unsupported:
        assert_refused(await server.exchange(token, **changes), "invalid_request")


async def test_a_jwt_can_be_asked_for_by_that_name(server: AuthServer) -> None:
    response = await server.exchange(await server.token(), requested_token_type=TOKEN_TYPE_JWT)
    assert response.json()["issued_token_type"] == TOKEN_TYPE_JWT


async def test_an_agent_cannot_exchange_its_own_token(server: AuthServer) -> None:
    client = await server.register(
        token_endpoint_auth_method="client_secret_post",
        grant_types=["authorization_code", GRANT_TOKEN_EXCHANGE],
    )
    assert client["grant_types"] == ["authorization_code"]
    response = await server.post(
        "token",
        {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": "x",
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            "audience": API,
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
        },
    )
    assert_refused(response, "unauthorized_client")


async def test_our_own_validator_accepts_the_exchanged_token_for_its_audience_alone(
    server: AuthServer,
) -> None:
    token = (await server.exchange(await server.token())).json()["access_token"]
    keys = JwksClient(server.http, f"{ISSUER}/jwks", now=server.clock)
    profile = TokenProfile(issuer=ISSUER, audience=frozenset({API}), token_types=frozenset({"at+jwt"}))
    verified = await TokenValidator(profile, keys, now=server.clock).validate(token)
    assert verified.actors == (BROKER,)
    assert verified.context.missing() == ()
    other = TokenProfile(issuer=ISSUER, audience=frozenset({MCP}))
    with pytest.raises(InvalidToken):
        await TokenValidator(other, keys, now=server.clock).validate(token)
