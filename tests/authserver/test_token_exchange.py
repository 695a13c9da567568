from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from authcore.client_assertion import ClientAssertionSigner
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

GATEWAY = "mcp-gateway"

TWO_SCOPES = Policy(
    scopes={
        "stocks/read": ScopePolicy(description="Read", purpose="read"),
        "stocks/trade": ScopePolicy(description="Trade", purpose="trade"),
    },
    default_scope=frozenset({"stocks/read"}),
)


def configured(server_key: ECKey, **changes: object) -> list[dict[str, object]]:
    """The broker, with changes."""
    broker: dict[str, object] = {
        "client_id": BROKER,
        "jwks": public_jwks(server_key),
        "grant_types": [GRANT_TOKEN_EXCHANGE],
        "introspection": True,
        "audiences": [API],
    }
    return [broker | changes]


@pytest.fixture
async def naming(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    """A server whose broker may name the gateway as the actor."""
    key = ec_key("broker")
    async with serving(tmp_path, broker_key=key, clients=configured(key, actors=[GATEWAY, BROKER])) as server:
        yield server


def actor_token(
    server: AuthServer,
    subject: str = GATEWAY,
    *,
    issuer: str = BROKER,
    key: ECKey | None = None,
    audience: str = ISSUER,
) -> dict[str, str | None]:
    """The parameters that name an actor, in a statement of the broker unless told otherwise."""
    private = (key or server.broker_key).as_dict(private=True)
    signer = ClientAssertionSigner(issuer, private, now=server.clock)
    return {"actor_token": signer.assertion(subject, audience), "actor_token_type": TOKEN_TYPE_JWT}


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


@pytest.mark.attack("RFC 8693 §5", "widen the scope by exchange")
async def test_the_scope_cannot_be_widened(tmp_path: Path) -> None:
    async with serving(tmp_path, policy=TWO_SCOPES) as server:
        token = await server.token()
        for scope in ("stocks/trade", "stocks/read stocks/trade", "admin"):
            assert_refused(await server.exchange(token, scope=scope), "invalid_scope")


@pytest.mark.attack("RFC 8693 §2.1", "get a scope back that was given up")
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


@pytest.mark.attack("RFC 8693 §2.2.2", "widen the audience by exchange")
async def test_an_audience_that_is_not_the_clients_is_refused(server: AuthServer) -> None:
    token = await server.token()
    for audience in (MCP, OTHER_API, "https://evil.example", "token-broker", None):
        assert_refused(await server.exchange(token, audience=audience), "invalid_target")


async def test_the_target_may_be_named_as_a_resource_but_only_one(server: AuthServer) -> None:
    token = await server.token()
    assert (await server.exchange(token, audience=None, resource=f"{API}/")).status_code == 200
    assert_refused(await server.exchange(token, resource=OTHER_API), "invalid_target")


@pytest.mark.attack("RFC 8693 §2.2", "exchange a foreign or forged subject token")
async def test_a_subject_token_that_is_not_ours_is_refused(server: AuthServer) -> None:
    forged = Issuer(issuer=ISSUER, key=ec_key("forged")).sign(aud=API)
    foreign = Issuer().sign(aud=API)
    for token in ("nonsense", "a.b.c", forged, foreign):
        assert_refused(await server.exchange(token), "invalid_grant")


@pytest.mark.attack("RFC 8693 §2.2.1", "outlive a token by exchanging it")
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


@pytest.mark.attack("RFC 8693 §4.1", "grow the chain of actors without end")
async def test_a_chain_has_an_end(server: AuthServer) -> None:
    token = await server.token()
    for _ in range(8):
        token = (await server.exchange(token)).json()["access_token"]
    assert_refused(await server.exchange(token), "invalid_request")


async def test_an_actor_token_names_who_uses_the_token_and_the_client_is_below(naming: AuthServer) -> None:
    token = await naming.token()
    response = await naming.exchange(token, **actor_token(naming))
    issued = response.json()["access_token"]
    assert unverified(issued)["act"] == {"sub": GATEWAY, "act": {"sub": BROKER}}
    again = (await naming.exchange(issued, **actor_token(naming))).json()["access_token"]
    assert unverified(again)["act"]["act"] == {"sub": BROKER, "act": unverified(issued)["act"]}
    alone = (await naming.exchange(token)).json()["access_token"]
    assert unverified(alone)["act"] == {"sub": BROKER}


@pytest.mark.attack(
    "RFC 8693 §4.1", "name an actor with a statement that is not the client's, or not for here"
)
async def test_an_actor_token_that_is_not_the_clients_own_statement_is_refused(naming: AuthServer) -> None:
    token = await naming.token()
    forged: dict[str, dict[str, str | None]] = {
        "another key": actor_token(naming, key=ec_key("broker")),
        "the actor's own statement": actor_token(naming, issuer=GATEWAY, key=ec_key("gateway")),
        "another issuer": actor_token(naming, issuer=GATEWAY),
        "for somebody else": actor_token(naming, audience="https://broker.example"),
        "nobody it may name": actor_token(naming, "somebody"),
        "nonsense": {"actor_token": "a.b.c", "actor_token_type": TOKEN_TYPE_JWT},
        "not called a JWT": actor_token(naming) | {"actor_token_type": TOKEN_TYPE_ACCESS_TOKEN},
        "called nothing": actor_token(naming) | {"actor_token_type": None},
        "a type alone": actor_token(naming) | {"actor_token": None},
    }
    for parameters in forged.values():
        assert_refused(await naming.exchange(token, **parameters), "invalid_request")


@pytest.mark.attack("RFC 8693 §2.1", "use an actor token or a client assertion a second time, as the other")
async def test_an_actor_token_is_good_once_and_briefly(naming: AuthServer) -> None:
    token = await naming.token()
    parameters = actor_token(naming)
    assert (await naming.exchange(token, **parameters)).status_code == 200
    assert_refused(await naming.exchange(token, **parameters), "invalid_request")
    proof = naming.assertion()
    as_actor = {"actor_token": proof["client_assertion"], "actor_token_type": TOKEN_TYPE_JWT}
    # The broker may name itself here: what refuses its assertion as an actor token is that it was used.
    assert_refused(await naming.exchange(token, **proof, **as_actor), "invalid_request")
    as_client = {**proof, "client_assertion": str(actor_token(naming)["actor_token"])}
    assert (await naming.exchange(token, **as_client)).json()["error"] == "invalid_client"
    late = actor_token(naming)
    naming.clock.seconds += 400
    assert_refused(await naming.exchange(token, **late), "invalid_request")


async def test_where_no_actors_are_configured_an_actor_token_is_refused(server: AuthServer) -> None:
    token = await server.token()
    for actor in (GATEWAY, BROKER):
        assert_refused(await server.exchange(token, **actor_token(server, actor)), "invalid_request")


async def test_policy_speaks_of_the_client_that_exchanges_and_not_of_the_actor(tmp_path: Path) -> None:
    policy = Policy(
        scopes={"stocks/read": ScopePolicy(description="Read", purpose="read", may_act=frozenset({GATEWAY}))},
        default_scope=frozenset({"stocks/read"}),
    )
    key = ec_key("broker")
    async with serving(
        tmp_path, broker_key=key, policy=policy, clients=configured(key, actors=[GATEWAY])
    ) as server:
        token = await server.token()
        assert_refused(await server.exchange(token, **actor_token(server)), "invalid_request")


async def test_who_named_an_actor_may_give_back_what_it_got_for_it(naming: AuthServer) -> None:
    token = await naming.token()
    issued = (await naming.exchange(token, **actor_token(naming))).json()["access_token"]
    assert (await naming.post("revoke", {"token": issued, **naming.assertion()})).status_code == 200
    assert (await naming.introspect(token)).json() == {"active": False}


async def test_what_is_not_supported_is_refused(server: AuthServer) -> None:
    token = await server.token()
    unsupported: list[dict[str, str | None]] = [
        {"subject_token": None},
        {"subject_token_type": None},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"subject_token_type": TOKEN_TYPE_JWT},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x", "actor_token_type": TOKEN_TYPE_ACCESS_TOKEN},
        {"actor_token": "x", "actor_token_type": TOKEN_TYPE_JWT},
    ]
    for changes in unsupported:
        assert_refused(await server.exchange(token, **changes), "invalid_request")


async def test_a_jwt_can_be_asked_for_by_that_name(server: AuthServer) -> None:
    response = await server.exchange(await server.token(), requested_token_type=TOKEN_TYPE_JWT)
    assert response.json()["issued_token_type"] == TOKEN_TYPE_JWT


@pytest.mark.attack("RFC 8693 §5", "exchange a token as the agent that holds it")
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
