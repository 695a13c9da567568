"""Clients that prove themselves with a key (RFC 7523 §3)."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import extract_compact

from authcore.client_assertion import (
    ClientAssertionSigner,
    ClientAssertionVerifier,
    StaticKeys,
    claimed_client,
)
from authcore.errors import InvalidClient
from tests.support.issuer import NOW, Clock, ec_key

AUDIENCE = "https://broker.test"


class World:
    def __init__(self) -> None:
        self.clock, self.key, self.seen = Clock(), ec_key("c1"), set[str]()
        self.signer = ClientAssertionSigner("gateway", self.key.as_dict(private=True), now=self.clock)
        self.keys = StaticKeys([self.key])
        self.verifier = ClientAssertionVerifier(
            frozenset({AUDIENCE}), now=self.clock, first_use=self.first_use
        )

    async def first_use(self, key: str, until: int) -> bool:
        assert until > self.clock()
        fresh = key not in self.seen
        self.seen.add(key)
        return fresh

    def forge(self, key: ECKey | None = None, **changes: Any) -> str:
        claims: dict[str, Any] = {
            "iss": "gateway",
            "sub": "gateway",
            "aud": AUDIENCE,
            "jti": "j",
            "exp": NOW + 60,
        } | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "c1"}, kept, key or self.key)


async def test_a_signed_assertion_proves_the_client_once() -> None:
    world = World()
    assertion = world.signer.parameters(AUDIENCE)["client_assertion"]
    assert claimed_client(assertion) == "gateway"
    await world.verifier.verify(assertion, "gateway", world.keys)
    with pytest.raises(InvalidClient, match="used before"):
        await world.verifier.verify(assertion, "gateway", world.keys)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.test"},
        {"aud": AUDIENCE + "/"},
        {"iss": "another"},
        {"sub": "another"},
        {"exp": NOW - 31},
        {"exp": NOW + 301},
        {"exp": None},
        {"jti": None},
    ],
    ids=str,
)
async def test_an_assertion_that_is_not_quite_right_proves_nothing(changes: dict[str, Any]) -> None:
    world = World()
    with pytest.raises(InvalidClient):
        await world.verifier.verify(world.forge(**changes), "gateway", world.keys)


async def test_another_key_proves_nothing() -> None:
    world = World()
    with pytest.raises(InvalidClient):
        await world.verifier.verify(world.forge(ec_key("c1")), "gateway", world.keys)


@pytest.mark.parametrize("text", ["", "a.b.c", "no", "e30.W10.eA", "e30.e30.eA", "a" * 9000])
def test_nobody_is_claimed_by_what_is_not_an_assertion(text: str) -> None:
    assert claimed_client(text) is None


def test_a_public_or_symmetric_key_cannot_sign() -> None:
    public = ec_key().as_dict(private=False)
    for jwk in (
        public,
        {"kty": "oct", "k": "A" * 43, "alg": "HS256"},
        {},
        ec_key().as_dict(private=True) | {"alg": "x"},
    ):
        with pytest.raises(ValueError, match="client key"):
            ClientAssertionSigner("gateway", jwk, now=Clock())


def test_a_certificate_is_named_by_its_thumbprint() -> None:
    key = ec_key("c1").as_dict(private=True) | {"x5t#S256": "thumbprint"}
    form = ClientAssertionSigner("gateway", key, now=Clock()).parameters(AUDIENCE)
    header = extract_compact(form["client_assertion"].encode()).headers()
    assert header == {"alg": "ES256", "typ": "JWT", "kid": "c1", "x5t#S256": "thumbprint"}


def test_a_statement_about_somebody_else_proves_no_client() -> None:
    world = World()
    said = jwt.decode(world.signer.assertion("john", AUDIENCE), world.key).claims
    assert (said["iss"], said["sub"], said["exp"]) == ("gateway", "john", NOW + 60)
    assert claimed_client(world.signer.assertion("john", AUDIENCE)) == "john"
