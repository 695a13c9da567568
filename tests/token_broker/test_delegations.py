import logging
from typing import Any

import pytest
from pydantic import SecretStr

from authcore.claims import ClaimNames
from authcore.client_assertion import StaticKeys
from authcore.events import DELEGATIONS
from authcore.key_ring import base64url, parse_ring
from authcore.validator import TokenProfile, TokenValidator
from tests.support.issuer import ISSUER, NOW, Clock
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import API, RESOURCE, Broker, Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker.delegations import (
    PHANTOM,
    AlreadyRevoked,
    CacheResult,
    Delegation,
    DelegationStore,
    delegation_of,
    exchanged,
    tag_of,
)
from token_broker.sealing import Place, Sealer, UnopenableValue, fingerprint
from token_broker.settings import Settings
from token_broker.single_flight import FLIGHTS

READ = exchanged(API, frozenset({"stocks/read"}))


async def keep(store: DelegationStore, delegation: Delegation, token: str, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "entry": PHANTOM,
        "jwt": "a.b.c",
        "expires_at": NOW + 900,
        "subject_expires_at": NOW + 900,
    } | changes
    await store.write(delegation, token, **arguments)


@pytest.fixture
def known(delegation: str) -> Delegation:
    return Delegation(delegation, "claim")


async def test_what_is_kept_is_found_by_its_token(
    store: DelegationStore, known: Delegation, token: str, counted: list[CacheResult]
) -> None:
    assert await store.find(token) is None
    await keep(store, known, token)
    found = await store.find(token)
    assert found is not None
    assert (found.tag, found.revoked, found.phantom) == (known.tag, False, "a.b.c")
    assert counted == ["miss", "hit"]


async def test_each_entry_keeps_its_own_expiry(
    store: DelegationStore, known: Delegation, token: str, clock: Clock
) -> None:
    await keep(store, known, token)
    await keep(store, known, token, entry=READ, jwt="d.e.f", expires_at=NOW + 100)
    assert await store.read(known, token, READ) == "d.e.f"
    clock.seconds = NOW + 90
    assert await store.read(known, token, READ) is None
    found = await store.find(token)
    assert found is not None
    assert found.phantom == "a.b.c"


async def test_keys_live_as_long_as_their_longest_token_and_no_longer(
    store: DelegationStore, known: Delegation, token: str, redis: RedisContents
) -> None:
    await keep(store, known, token, expires_at=NOW + 300, subject_expires_at=NOW + 300)
    assert 280 <= redis.ttl(known.tokens) <= 290
    await keep(store, known, token + "2", expires_at=NOW + 900)
    assert 880 <= redis.ttl(known.tokens) <= 890
    await keep(store, known, token, entry=READ, expires_at=NOW + 100)
    assert 880 <= redis.ttl(known.tokens) <= 890
    assert 280 <= redis.ttl(f"{{p:{fingerprint(token)}}}") <= 290


async def test_an_exchanged_token_is_not_kept_beyond_its_subject(
    store: DelegationStore, known: Delegation, token: str, clock: Clock, redis: RedisContents
) -> None:
    await keep(store, known, token, entry=READ, expires_at=NOW + 900, subject_expires_at=NOW + 60)
    assert redis.ttl(known.tokens) <= 60
    clock.seconds = NOW + 60
    assert await store.read(known, token, READ) is None


async def test_a_token_in_its_last_seconds_is_not_kept(
    store: DelegationStore, known: Delegation, token: str, redis: RedisContents
) -> None:
    await keep(store, known, token, expires_at=NOW + 10)
    assert not redis.exists(known.tokens)
    assert await store.find(token) is None


async def test_no_token_is_kept_for_longer_than_a_tombstone_stands(
    store: DelegationStore, known: Delegation, token: str, redis: RedisContents, settings: Settings
) -> None:
    await keep(store, known, token, expires_at=10**17, subject_expires_at=10**17)
    assert redis.ttl(known.tokens) <= settings.tombstone_seconds
    found = await store.find(token)
    assert found is not None
    assert found.phantom == "a.b.c"


async def test_every_key_of_the_broker_expires_before_its_token(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    server.knows(token)
    await broker.exchange(token)
    lives = {key: redis.ttl(key) for key in redis.matching() if key not in (DELEGATIONS, FLIGHTS)}
    assert len(lives) == 6
    assert all(0 < life <= 900 for life in lives.values())


async def test_expired_entries_of_a_long_delegation_are_dropped(
    store: DelegationStore, known: Delegation, token: str, clock: Clock, redis: RedisContents
) -> None:
    for number in range(31):
        await keep(store, known, f"{token}{number}", expires_at=NOW + 100)
    await keep(store, known, token, expires_at=NOW + 900)
    clock.seconds = NOW + 200
    await keep(store, known, token + "new")
    kept = {f"{fingerprint(holder)}|phantom" for holder in (token, token + "new")}
    assert redis.sealed(known.tokens).keys() == kept


async def test_revocation_forgets_everything_and_lets_nothing_back_in(
    store: DelegationStore, known: Delegation, token: str, redis: RedisContents
) -> None:
    await keep(store, known, token)
    await keep(store, known, token, entry=READ)
    assert await store.revoke(known.tag)
    assert not redis.exists(known.tokens)
    found = await store.find(token)
    assert found is not None
    assert (found.revoked, found.phantom) == (True, None)
    for entry in (PHANTOM, READ):
        with pytest.raises(AlreadyRevoked):
            await keep(store, known, token, entry=entry)
    with pytest.raises(AlreadyRevoked):
        await keep(store, known, token, expires_at=NOW + 1)
    assert not redis.exists(known.tokens)


async def test_revocation_of_an_unknown_delegation_stands_as_well(
    store: DelegationStore, known: Delegation, token: str, redis: RedisContents, settings: Settings
) -> None:
    assert not await store.revoke(known.tag)
    with pytest.raises(AlreadyRevoked):
        await keep(store, known, token)
    life = redis.ttl(f"{{d:{known.tag}}}:revoked")
    assert settings.tombstone_seconds - 5 <= life <= settings.tombstone_seconds


async def test_revocation_ends_one_delegation_and_no_other(
    store: DelegationStore, known: Delegation, token: str
) -> None:
    await keep(store, known, token)
    await store.revoke(known.tag + "2")
    assert await store.find(token) is not None


async def test_the_scripts_survive_a_redis_that_forgot_them(
    store: DelegationStore, known: Delegation, token: str, redis: RedisContents
) -> None:
    redis.forget_scripts()
    await keep(store, known, token)
    redis.forget_scripts()
    assert await store.revoke(known.tag)


async def test_a_dump_of_redis_holds_no_token_and_no_part_of_one(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    server.knows(token)
    assert (await broker.exchange(token)).status_code == 200
    dump = redis.dump()
    assert len(server.jwts) == 2
    for secret in (token, *(segment for jwt in server.jwts for segment in jwt.split("."))):
        assert secret.encode() not in dump
        assert secret[:24].encode() not in dump


async def test_a_dump_does_not_open_with_the_ring_and_another_token(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str, settings: Settings
) -> None:
    server.knows(token)
    await broker.exchange(token)
    sealer = Sealer(parse_ring(settings.sealing_key.get_secret_value()))
    opened = 0
    for key in redis.delegations():
        for name, value in redis.sealed(key).items():
            place = Place(key, name)
            assert sealer.open(value, token=token, place=place).plaintext in server.jwts
            opened += 1
            for other in (token + "2", token[:-1], ""):
                with pytest.raises(UnopenableValue):
                    sealer.open(value, token=other, place=place)
    assert opened == 2


@pytest.mark.parametrize(
    "value", [b"", b"garbage", b"v1.00000000.9999999999.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
)
async def test_a_value_that_was_tampered_with_is_a_miss(
    store: DelegationStore,
    known: Delegation,
    token: str,
    redis: RedisContents,
    counted: list[CacheResult],
    caplog: pytest.LogCaptureFixture,
    value: bytes,
) -> None:
    await keep(store, known, token)
    redis.set_field(known.tokens, f"{fingerprint(token)}|phantom", value)
    found = await store.find(token)
    assert found is not None
    assert found.phantom is None
    assert counted == ["error"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "aaaa" not in caplog.text


async def test_a_tampered_cache_costs_a_question_and_nothing_else(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    server.knows(token)
    first = (await broker.exchange(token)).json()
    (key,) = redis.delegations()
    (one, value), (other, another) = redis.sealed(key).items()
    # Two values change places: each is authentic, neither belongs where it is.
    redis.set_field(key, one, another)
    redis.set_field(key, other, value)
    second = (await broker.exchange(token)).json()
    assert second["access_token"] != first["access_token"]
    assert (server.introspections, server.exchanges) == (2, 2)


@pytest.mark.parametrize("pointer", [b"x}:tokens", b"", b"\xff", b"a" * 200, b"unknown"])
async def test_a_pointer_that_was_tampered_with_is_a_miss(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, token: str, pointer: bytes
) -> None:
    server.knows(token)
    await broker.introspect(token)
    redis.set(f"{{p:{fingerprint(token)}}}", pointer)
    assert (await broker.introspect(token)).status_code == 200
    assert server.introspections == 2


def test_an_id_cannot_shape_a_key() -> None:
    assert tag_of("6f1d-4c.A_~") == "6f1d-4c.A_~"
    hostile = ["", "a}:revoked", "{x}", "a|b", "a b", "a\nb", "ä", "\ud800", "x" * 129, "sha256:" + "a" * 43]
    tags = [tag_of(name) for name in hostile]
    assert len(set(tags)) == len(hostile)
    assert all(
        tag.startswith("sha256:") and len(tag) == 50 and tag != name
        for tag, name in zip(tags, hostile, strict=True)
    )


@pytest.mark.parametrize(
    ("claims", "source"),
    [({}, "claim"), ({"delegationId": None}, "jti"), ({"delegationId": None, "jti": None}, "token")],
)
async def test_a_delegation_is_named_by_its_claim_else_its_jti_else_its_token(
    broker: Broker,
    server: FakeAuthorizationServer,
    redis: RedisContents,
    token: str,
    claims: dict[str, Any],
    source: str,
) -> None:
    server.knows(token, **claims)
    await broker.exchange(token)
    (key,) = redis.delegations()
    assert redis.hash(key)["source"] == source.encode()
    expected = {"claim": "delegation-1", "jti": "jti-1"}
    assert source == "token" or key == f"{{d:{expected[source]}}}:tokens"
    assert (await broker.exchange(token)).status_code == 200
    assert server.exchanges == 1


async def test_after_a_rotation_of_the_sealing_key_the_old_entries_still_serve(
    start: Start, server: FakeAuthorizationServer, settings: Settings, token: str
) -> None:
    server.knows(token)
    first = (await (await start()).exchange(token)).json()
    rotated = await start(sealing_key=SecretStr(rotate(settings)))
    assert (await rotated.exchange(token)).json()["access_token"] == first["access_token"]
    assert (server.introspections, server.exchanges) == (1, 1)


async def test_after_a_rotation_a_delegation_named_by_its_token_goes_on_under_its_name(
    start: Start, server: FakeAuthorizationServer, settings: Settings, token: str, redis: RedisContents
) -> None:
    server.knows(token, delegationId=None, jti=None)
    await (await start()).exchange(token)
    rotated = await start(sealing_key=SecretStr(rotate(settings)))
    for _ in range(2):
        assert (await rotated.exchange(token)).status_code == 200
    assert (server.introspections, server.exchanges) == (1, 1)
    assert [len(redis.sealed(key)) for key in redis.delegations()] == [2]


def rotate(settings: Settings) -> str:
    return f"{base64url(b'n' * 32)},{settings.sealing_key.get_secret_value()}"


async def test_a_revoked_delegation_is_inactive_without_asking(
    broker: Broker, server: FakeAuthorizationServer, store: DelegationStore, token: str, delegation: str
) -> None:
    server.knows(token, delegationId=delegation)
    assert (await broker.introspect(token)).status_code == 200
    await store.revoke(delegation)
    assert (await broker.introspect(token)).status_code == 204
    assert server.introspections == 1


async def test_a_delegation_id_with_braces_is_served_like_any_other(
    broker: Broker, server: FakeAuthorizationServer, store: DelegationStore, token: str
) -> None:
    server.knows(token, delegationId="a}:revoked{")
    assert (await broker.introspect(token)).status_code == 200
    assert (await broker.introspect(token)).status_code == 200
    assert server.introspections == 1
    assert await store.revoke(tag_of("a}:revoked{"))
    assert (await broker.introspect(token)).status_code == 204


async def test_the_claim_that_names_a_delegation_is_configured(
    server: FakeAuthorizationServer, clock: Clock, token: str
) -> None:
    profile = TokenProfile(ISSUER, frozenset({RESOURCE}), claim_names=ClaimNames(delegation=("sid",)))
    keys = StaticKeys([server.issuer.key])
    verified = await TokenValidator(profile, keys, now=clock).validate(server.issuer.sign(sid="session"))
    assert delegation_of(verified, token) == Delegation("session", "claim")
