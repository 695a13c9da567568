"""Tokens that are bound to a DPoP key, at the gateway (RFC 9449)."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from pydantic import SecretStr, ValidationError

from authcore.events import Heartbeat
from mcp_gateway.settings import Settings
from tests.mcp_gateway.bound import CALL, bind, call, challenge, proof
from tests.mcp_gateway.conftest import METADATA, RESOURCE, Gateway, running
from tests.support.dpop import DPoPKey
from tests.support.issuer import Clock
from tests.support.messages import LEGACY
from tests.support.redis_contents import RedisContents
from tests.support.redis_server import RedisServer

NONCE_KEY = "a nonce key that is long enough for anybody"


@pytest.fixture
def settings(settings: Settings, redis_url: str) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(redis_url)})


@pytest.fixture
async def gateway(settings: Settings, clock: Clock, key: DPoPKey) -> AsyncGenerator[Gateway]:
    async with running(settings, clock) as gateway:
        bind(gateway, key)
        yield gateway


@pytest.mark.requirement("dpop-proof")
async def test_a_bound_token_with_a_proof_is_served_and_the_api_gets_another_token_bound_to_nothing(
    gateway: Gateway, key: DPoPKey
) -> None:
    response = await call(gateway, proof(key))
    assert (response.status_code, response.json()["result"]["isError"]) == (200, False)
    (request,) = gateway.network.api_requests
    assert request.headers["authorization"].startswith("Bearer ey")
    assert "dpop" not in request.headers


@pytest.mark.requirement("dpop-proof")
async def test_a_proof_is_asked_for_at_every_request_however_well_the_token_is_remembered(
    gateway: Gateway, key: DPoPKey, redis: RedisContents
) -> None:
    asked = -1
    async with asyncio.timeout(10):
        while asked != gateway.network.broker.introspections:
            asked = gateway.network.broker.introspections
            redis.add_entry(**Heartbeat(1).to_fields())
            assert (await call(gateway, proof(key))).status_code == 200
    served = len(gateway.network.api_requests)
    redis.add_entry(**Heartbeat(1).to_fields())
    assert (await call(gateway)).status_code == 401
    assert (await call(gateway, proof(DPoPKey(key.now)))).status_code == 401
    assert (await call(gateway, scheme="Bearer")).status_code == 401
    assert (gateway.network.broker.introspections, len(gateway.network.api_requests)) == (asked, served)


@pytest.mark.requirement("dpop-scheme")
@pytest.mark.parametrize("with_proof", [True, False])
async def test_a_bound_token_presented_as_a_bearer_token_is_a_stolen_one(
    gateway: Gateway, key: DPoPKey, with_proof: bool
) -> None:
    response = await call(gateway, *([proof(key)] if with_proof else []), scheme="Bearer")
    assert response.status_code == 401
    assert challenge(response).startswith('Bearer error="invalid_token"')
    assert 'DPoP algs="ES256 PS256 RS256"' in challenge(response)


@pytest.mark.requirement("dpop-scheme")
async def test_a_bearer_token_does_not_become_more_by_the_scheme_dpop(gateway: Gateway, key: DPoPKey) -> None:
    response = await call(gateway, key.proof("POST", RESOURCE, "john"), token="john")
    assert response.status_code == 401
    assert challenge(response).startswith('DPoP error="invalid_token"')


async def test_both_schemes_at_once_are_refused(gateway: Gateway, key: DPoPKey) -> None:
    headers = [("authorization", "DPoP bound"), ("authorization", "Bearer john"), ("dpop", proof(key))]
    response = await gateway.http.post("/mcp", json=CALL, headers=[*LEGACY.items(), *headers])
    assert response.status_code == 400


BAD: dict[str, Callable[[DPoPKey], list[str]]] = {
    "none": lambda _: [],
    "two": lambda k: [proof(k), proof(k)],
    "two in one header": lambda k: [f"{proof(k)}, {proof(k)}"],
    "no JWT": lambda _: ["nonsense"],
    "empty parts": lambda _: ["e30.e30.e30"],
    "too long": lambda k: [proof(k, padding="x" * 9000)],
    "another method": lambda k: [proof(k, htm="GET")],
    "a method in lower case": lambda k: [proof(k, htm="post")],
    "another path": lambda k: [proof(k, htu="https://mcp.test/other")],
    "another host": lambda k: [proof(k, htu="https://evil.test/mcp")],
    "another port": lambda k: [proof(k, htu="https://mcp.test:8443/mcp")],
    "another scheme": lambda k: [proof(k, htu="http://mcp.test/mcp")],
    "a host that only begins like ours": lambda k: [proof(k, htu="https://mcp.test.evil/mcp")],
    "user information": lambda k: [proof(k, htu="https://mcp.test@evil.test/mcp")],
    "a port that is none": lambda k: [proof(k, htu="https://mcp.test:x/mcp")],
    "no URL": lambda k: [proof(k, htu=None)],
    "a URL that is a list": lambda k: [proof(k, htu=[RESOURCE])],
    "too old": lambda k: [proof(k, iat=k.now() - 61)],
    "from the future": lambda k: [proof(k, iat=k.now() + 31)],
    "no time": lambda k: [proof(k, iat=None)],
    "a time that is true": lambda k: [proof(k, iat=True)],
    "no id": lambda k: [proof(k, jti=None)],
    "an id that is a number": lambda k: [proof(k, jti=5)],
    "no token hash": lambda k: [k.proof("POST", RESOURCE)],
    "the hash of another token": lambda k: [k.proof("POST", RESOURCE, "john")],
    "a token hash that is no text": lambda k: [proof(k, ath=1)],
    "another type": lambda k: [proof(k, typ="JWT")],
    "an access token's type": lambda k: [proof(k, typ="at+jwt")],
    "another key than it shows": lambda k: [proof(k, jwk=DPoPKey(k.now).key.as_dict(private=False))],
    "a private key": lambda k: [proof(k, jwk=k.key.as_dict(private=True))],
    "no key": lambda k: [proof(k, jwk={"kty": "EC"})],
    "a shared secret for a key": lambda k: [proof(k, jwk={"kty": "oct", "k": "c2VjcmV0"})],
    "a cut signature": lambda k: [proof(k)[:-4]],
}


@pytest.mark.requirement("dpop-proof")
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_proof_that_proves_nothing_is_401_invalid_dpop_proof(
    gateway: Gateway, key: DPoPKey, bad: Callable[[DPoPKey], list[str]]
) -> None:
    response = await call(gateway, *bad(key))
    assert response.status_code == 401
    assert challenge(response).startswith('DPoP error="invalid_dpop_proof"')
    assert f'resource_metadata="{METADATA}"' in challenge(response)
    assert gateway.network.api_requests == []


@pytest.mark.requirement("dpop-proof")
async def test_the_proof_of_another_key_is_401_invalid_token(gateway: Gateway, key: DPoPKey) -> None:
    response = await call(gateway, proof(DPoPKey(key.now)))
    assert response.status_code == 401
    assert challenge(response).startswith('DPoP error="invalid_token"')


@pytest.mark.requirement("dpop-proof")
@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.test/mcp",
        "https://mcp.test/mcp/",
        "HTTPS://MCP.test:443/mcp",
        "https://mcp.test/mcp?session=1#top",
    ],
)
async def test_our_url_is_the_same_in_every_spelling(gateway: Gateway, key: DPoPKey, url: str) -> None:
    assert (await call(gateway, proof(key, htu=url))).status_code == 200


async def test_an_rsa_key_will_do(gateway: Gateway, clock: Clock) -> None:
    key = DPoPKey(clock, RSAKey.generate_key(2048))
    bind(gateway, key)
    assert (await call(gateway, proof(key, alg="PS256"))).status_code == 200


@pytest.mark.requirement("dpop-replay")
async def test_a_proof_is_good_once_for_all_replicas_together(
    settings: Settings, clock: Clock, key: DPoPKey
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(running(settings, clock)) for _ in range(2)]
        for gateway in (one, two):
            bind(gateway, key)
        once = proof(key)
        assert (await call(one, once)).status_code == 200
        for gateway in (one, two):
            response = await call(gateway, once)
            assert response.status_code == 401
            assert 'error="invalid_dpop_proof"' in challenge(response)


@pytest.mark.requirement("dpop-replay")
async def test_who_cannot_prove_the_key_leaves_nothing_in_redis(
    gateway: Gateway, key: DPoPKey, redis: RedisContents
) -> None:
    for made in (proof(DPoPKey(key.now)), proof(key, htm="GET")):
        assert (await call(gateway, made)).status_code == 401
    assert redis.matching("{dpop:*}") == []
    await call(gateway, proof(key))
    (name,) = redis.matching("{dpop:*}")
    assert key.thumbprint not in name


async def test_when_nobody_can_say_whether_a_proof_was_used_the_answer_is_503(
    settings: Settings, clock: Clock, key: DPoPKey, own_redis: RedisServer
) -> None:
    url = SecretStr(own_redis.url)
    async with running(settings.model_copy(update={"redis_url": url}), clock) as gateway:
        bind(gateway, key)
        assert (await call(gateway, proof(key))).status_code == 200
        own_redis.stop()
        response = await call(gateway, proof(key))
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0


async def test_without_redis_a_bound_token_is_refused_and_dpop_is_not_offered(
    settings: Settings, clock: Clock, key: DPoPKey
) -> None:
    async with running(settings.model_copy(update={"redis_url": SecretStr("")}), clock) as gateway:
        bind(gateway, key)
        response = await call(gateway, proof(key))
        assert response.status_code == 401
        assert "DPoP algs" not in challenge(response)
        document = (await gateway.http.get("/.well-known/oauth-protected-resource")).json()
        assert "dpop_signing_alg_values_supported" not in document


@pytest.mark.requirement("dpop-metadata")
async def test_the_metadata_and_a_challenge_without_credentials_offer_dpop_beside_bearer(
    gateway: Gateway,
) -> None:
    document = (await gateway.http.get("/.well-known/oauth-protected-resource")).json()
    assert document["dpop_signing_alg_values_supported"] == ["ES256", "PS256", "RS256"]
    assert "dpop_bound_access_tokens_required" not in document
    response = await gateway.post(CALL, token=None)
    assert response.headers.get_list("www-authenticate") == [
        f'Bearer scope="stocks/read", resource_metadata="{METADATA}"',
        'DPoP algs="ES256 PS256 RS256"',
    ]


async def test_a_call_beyond_the_scope_is_challenged_in_the_scheme_it_came_with(
    gateway: Gateway, key: DPoPKey
) -> None:
    gateway.network.broker.tokens["bound"]["scope"] = "profile"
    response = await call(gateway, proof(key))
    assert response.status_code == 403
    assert challenge(response).startswith('DPoP error="insufficient_scope"')
    assert 'scope="stocks/read"' in challenge(response)


@pytest.mark.requirement("dpop-metadata")
async def test_bound_tokens_can_be_made_the_only_ones(settings: Settings, clock: Clock, key: DPoPKey) -> None:
    strict = settings.model_copy(update={"bound_tokens_required": True})
    async with running(strict, clock) as gateway:
        bind(gateway, key)
        document = (await gateway.http.get("/.well-known/oauth-protected-resource")).json()
        assert document["dpop_bound_access_tokens_required"] is True
        response = await gateway.post(CALL)
        assert response.status_code == 401
        assert challenge(response).startswith('DPoP error="invalid_token"')
        assert "Bearer" not in challenge(response)
        assert (await call(gateway, proof(key))).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"bound_tokens_required": True, "redis_url": ""}, "needs Redis"),
        ({"dpop_nonce_key": "short"}, "32 characters"),
        ({"trusted_proxies": ["proxy.test"]}, "proxy.test"),
    ],
)
def test_what_could_never_be_met_is_refused_at_start(
    settings: Settings, wrong: dict[str, Any], complaint: str
) -> None:
    given: dict[str, Any] = settings.model_dump(exclude={"otlp_endpoint"})
    Settings(**given)
    with pytest.raises(ValidationError, match=complaint):
        Settings(**(given | wrong))


@pytest.fixture
async def with_nonces(settings: Settings, clock: Clock, key: DPoPKey) -> AsyncGenerator[list[Gateway]]:
    """Two replicas that know one key."""
    demanding = settings.model_copy(update={"dpop_nonce_key": SecretStr(NONCE_KEY)})
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(running(demanding, clock)) for _ in range(2)]
        for gateway in replicas:
            bind(gateway, key)
        yield replicas


@pytest.mark.requirement("dpop-nonce")
async def test_a_nonce_of_one_replica_is_good_at_every_other(
    with_nonces: list[Gateway], key: DPoPKey
) -> None:
    one, two = with_nonces
    refused = await call(one, proof(key))
    assert refused.status_code == 401
    assert challenge(refused).startswith('DPoP error="use_dpop_nonce"')
    nonce = refused.headers["dpop-nonce"]
    accepted = await call(two, proof(key, nonce=nonce))
    assert accepted.status_code == 200
    assert accepted.headers["dpop-nonce"] == nonce


@pytest.mark.requirement("dpop-nonce")
async def test_a_nonce_changes_without_a_refused_call_and_ends(
    with_nonces: list[Gateway], key: DPoPKey
) -> None:
    gateway, _ = with_nonces
    nonce = (await call(gateway, proof(key))).headers["dpop-nonce"]
    gateway.network.clock.seconds += 120
    answer = await call(gateway, proof(key, nonce=nonce))
    assert answer.status_code == 200
    assert answer.headers["dpop-nonce"] != nonce
    gateway.network.clock.seconds += 120
    assert (await call(gateway, proof(key, nonce=nonce))).status_code == 401


@pytest.mark.requirement("dpop-nonce")
@pytest.mark.parametrize("nonce", ["", "guessed", 5, None])
async def test_a_nonce_that_was_not_given_out_is_answered_with_one_that_is(
    with_nonces: list[Gateway], key: DPoPKey, nonce: Any
) -> None:
    response = await call(with_nonces[0], proof(key, nonce=nonce))
    assert response.status_code == 401
    assert 'error="use_dpop_nonce"' in challenge(response)
    assert response.headers["dpop-nonce"]


async def test_a_binding_that_is_not_understood_is_refused(gateway: Gateway, key: DPoPKey) -> None:
    gateway.network.broker.tokens["bound"]["cnf"] |= {"jwe": "x"}
    assert (await call(gateway, proof(key))).status_code == 401
