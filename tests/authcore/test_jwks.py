"""Keys: fetched rarely, kept while the issuer is away, never replaced by something worse."""

import asyncio
import json

import httpx
import pytest
from joserfc.jwk import OctKey
from joserfc.util import urlsafe_b64encode

from authcore.errors import InvalidToken, TemporarilyUnavailable
from authcore.http_client import pooled_client
from authcore.jwks import JwksClient, JwksPolicy, parse_key_set
from tests.support.eventually import eventually
from tests.support.issuer import JWKS_URI, Clock, Issuer, ec_key


class World:
    def __init__(self) -> None:
        self.issuer, self.clock, self.policy = Issuer(), Clock(), JwksPolicy()
        http = pooled_client(timeout_seconds=1, transport=self.issuer.transport())
        self.jwks = JwksClient(http, JWKS_URI, now=self.clock, policy=self.policy)


@pytest.fixture
def world() -> World:
    return World()


async def test_one_fetch_serves_every_caller(world: World) -> None:
    keys = await asyncio.gather(*(world.jwks.key_for("k1", "ES256") for _ in range(100)))
    assert {key.kid for key in keys} == {"k1"}
    assert world.issuer.fetches == 1


async def test_an_old_set_is_used_while_a_new_one_is_fetched(world: World) -> None:
    await world.jwks.key_for("k1", "ES256")
    world.clock.seconds += world.policy.max_age_seconds
    world.issuer.published = [ec_key("k2")]
    assert (await world.jwks.key_for("k1", "ES256")).kid == "k1"
    await eventually(lambda: world.issuer.fetches == 2)
    assert (await world.jwks.key_for("k2", "ES256")).kid == "k2"
    with pytest.raises(InvalidToken):
        await world.jwks.key_for("k1", "ES256")


async def test_an_issuer_that_hangs_does_not_hold_up_known_keys(world: World) -> None:
    await world.jwks.key_for("k1", "ES256")
    world.clock.seconds += world.policy.max_age_seconds
    world.issuer.hang = asyncio.Event()
    async with asyncio.timeout(1):
        assert (await world.jwks.key_for("k1", "ES256")).kid == "k1"
    world.issuer.hang.set()


async def test_a_new_key_is_found_when_it_is_first_used(world: World) -> None:
    await world.jwks.key_for("k1", "ES256")
    world.issuer.published.append(ec_key("k2"))
    world.clock.seconds += world.policy.unknown_kid_cooldown_seconds
    assert (await world.jwks.key_for("k2", "ES256")).kid == "k2"


async def test_unknown_key_ids_do_not_hammer_the_issuer(world: World) -> None:
    for number in range(100):
        with pytest.raises(InvalidToken):
            await world.jwks.key_for(f"x{number}", "ES256")
    assert world.issuer.fetches == 1
    world.clock.seconds += world.policy.unknown_kid_cooldown_seconds
    for number in range(100):
        with pytest.raises(InvalidToken):
            await world.jwks.key_for(f"y{number}", "ES256")
    assert world.issuer.fetches == 2


async def test_a_good_set_serves_while_the_issuer_is_down_but_not_for_ever(world: World) -> None:
    await world.jwks.key_for("k1", "ES256")
    world.issuer.fail = lambda: httpx.Response(500)
    world.clock.seconds += world.policy.max_stale_seconds
    assert (await world.jwks.key_for("k1", "ES256")).kid == "k1"
    world.clock.seconds += 1
    with pytest.raises(TemporarilyUnavailable):
        await world.jwks.key_for("k1", "ES256")


async def test_an_unknown_key_while_the_issuer_is_down_says_nothing_of_the_token(world: World) -> None:
    await world.jwks.key_for("k1", "ES256")
    world.issuer.fail = lambda: httpx.Response(500)
    world.clock.seconds += world.policy.unknown_kid_cooldown_seconds
    with pytest.raises(TemporarilyUnavailable):
        await world.jwks.key_for("k2", "ES256")


async def test_an_issuer_that_is_down_is_not_asked_by_every_request(world: World) -> None:
    world.issuer.fail = lambda: httpx.Response(500)
    for _ in range(50):
        with pytest.raises(TemporarilyUnavailable):
            await world.jwks.key_for("k1", "ES256")
    assert world.issuer.fetches == 1
    world.issuer.fail = None
    world.clock.seconds += world.policy.failure_cooldown_seconds
    assert (await world.jwks.key_for("k1", "ES256")).kid == "k1"


def weak_rsa_key() -> dict[str, str]:
    modulus = (1 << 1023) + 1155
    return {"kty": "RSA", "n": urlsafe_b64encode(modulus.to_bytes(128, "big")).decode(), "e": "AQAB"}


BAD_SETS = {
    "empty": b'{"keys": []}',
    "not JSON": b"<html>",
    "a list": b"[]",
    "no keys": b"{}",
    "too many": json.dumps({"keys": [ec_key(f"k{n}").as_dict(private=False) for n in range(33)]}).encode(),
    "too large": b" " * 70_000 + b"{}",
    "nested without end": b"[" * 60_000,
    "symmetric": json.dumps({"keys": [OctKey.generate_key(256).as_dict(private=True)]}).encode(),
    "weak": json.dumps({"keys": [weak_rsa_key()]}).encode(),
    "for encryption": json.dumps({"keys": [ec_key().as_dict(private=False) | {"use": "enc"}]}).encode(),
    "off the curve": json.dumps({"keys": [ec_key().as_dict(private=False) | {"y": "AA"}]}).encode(),
}


@pytest.mark.parametrize("kind", BAD_SETS)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_bad_set_never_replaces_a_good_one(world: World, kind: str) -> None:
    await world.jwks.key_for("k1", "ES256")
    world.issuer.fail = lambda: httpx.Response(200, content=BAD_SETS[kind])
    world.clock.seconds += world.policy.max_age_seconds
    assert (await world.jwks.key_for("k1", "ES256")).kid == "k1"
    await eventually(lambda: world.issuer.fetches == 2)
    assert (await world.jwks.key_for("k1", "ES256")).kid == "k1"


async def test_redirects_are_not_followed(world: World) -> None:
    world.issuer.fail = lambda: httpx.Response(302, headers={"location": "https://evil.test/jwks"})
    with pytest.raises(TemporarilyUnavailable):
        await world.jwks.key_for("k1", "ES256")
    assert world.issuer.fetches == 1


async def test_a_key_serves_only_its_own_algorithm(world: World) -> None:
    for alg in ("RS256", "ES384", "EdDSA", "HS256", "none"):
        with pytest.raises(InvalidToken):
            await world.jwks.key_for("k1", alg)


async def test_without_a_key_id_the_set_must_leave_no_choice(world: World) -> None:
    assert (await world.jwks.key_for(None, "ES256")).kid == "k1"
    world.issuer.published.append(ec_key("k2"))
    world.clock.seconds += world.policy.max_stale_seconds + 1
    with pytest.raises(InvalidToken):
        await world.jwks.key_for(None, "ES256")


def test_private_members_of_a_published_key_are_dropped() -> None:
    (key,) = parse_key_set(json.dumps({"keys": [ec_key().as_dict(private=True)]}).encode())
    assert not key.is_private
