"""Sealing keys as time goes by: nothing that one replica seals is closed to another."""

import logging
import secrets
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.eventually import eventually
from tests.support.issuer import NOW, Clock
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import Start
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker import sealing_ring
from token_broker.sealing import Place, SealingKey, in_order, parse_keys, parse_ring
from token_broker.sealing_ring import LivingRing, RotationRefused, rotate, written
from token_broker.settings import Settings

DAY = 24 * 3600
PLACE = Place("{d:1}:tokens", "fingerprint|phantom")


def key(seals_from: int = 0) -> SealingKey:
    return SealingKey(secrets.token_bytes(32), seals_from)


def test_a_ring_is_read_as_it_was_written() -> None:
    keys = (key(NOW + 300), key(NOW), key())
    assert parse_keys(written(keys)) == keys


def test_a_key_does_not_show_what_it_is() -> None:
    one = key()
    assert str(one) not in repr(one)
    assert one.id not in str(one)


@pytest.mark.parametrize(
    "text", ["", "x", "A" * 43 + "@", "A" * 43 + "@x", "A" * 43 + "@-1", "A" * 43 + " " + "A" * 43]
)
def test_what_is_no_ring_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the texts differ
        parse_keys(text)
    assert "AAAA" not in str(caught.value)


def test_of_undated_keys_the_first_seals() -> None:
    one, other = key(), key()
    assert parse_ring(f"{one},{other}") == (one.octets, other.octets)


def test_the_last_key_to_have_begun_seals_wherever_it_stands() -> None:
    old, present, coming = key(), key(NOW - 10), key(NOW + 10)
    for keys in ((old, present, coming), (coming, present, old)):
        assert in_order(keys, now=NOW) == (present.octets, old.octets, coming.octets)
        assert in_order(keys, now=NOW + 10)[0] == coming.octets


def test_a_rotation_adds_a_key_that_seals_later_and_keeps_what_may_still_be_needed() -> None:
    old = key()
    first = rotate((old,), now=NOW, delay_seconds=300, keep_seconds=30 * DAY)
    assert first.keys[0].seals_from == NOW + 300
    assert first.keys[1:] == (old,)
    later = NOW + 300 + 30 * DAY
    assert rotate(first.keys, now=later - 1, delay_seconds=300, keep_seconds=30 * DAY).dropped == ()
    assert rotate(first.keys, now=later, delay_seconds=300, keep_seconds=30 * DAY).dropped == (old,)


def test_of_keys_without_a_date_none_is_dropped_before_its_time() -> None:
    undated = (key(), key(), key())
    first = rotate(undated, now=NOW, delay_seconds=0, keep_seconds=DAY)
    assert [one.octets for one in first.keys[1:]] == [one.octets for one in undated]
    assert in_order(first.keys[1:], now=NOW)[0] == undated[0].octets
    second = rotate(first.keys, now=NOW + DAY - 1, delay_seconds=0, keep_seconds=DAY)
    assert second.dropped == ()
    third = rotate(second.keys, now=NOW + DAY, delay_seconds=0, keep_seconds=DAY)
    assert {one.octets for one in third.dropped} == {one.octets for one in undated}


def test_a_rotation_waits_for_the_one_before() -> None:
    keys = rotate((key(),), now=NOW, delay_seconds=300, keep_seconds=DAY).keys
    with pytest.raises(RotationRefused):
        rotate(keys, now=NOW + 299, delay_seconds=300, keep_seconds=DAY)
    rotate(keys, now=NOW + 300, delay_seconds=300, keep_seconds=DAY)


async def test_during_a_rotation_each_opens_what_any_seals_whoever_has_read_the_file_when(
    tmp_path: Path,
) -> None:
    clock, file = Clock(), tmp_path / "ring"
    file.write_text(written((key(),)))
    early, late = (LivingRing(file.read_text(), file, now=clock) for _ in range(2))
    first = early.sealer.sealing_id

    def understand_each_other() -> None:
        for one, other in ((early, late), (late, early)):
            sealed = one.sealer.seal("jwt", token="token", place=PLACE, until=NOW)
            assert other.sealer.open(sealed, token="token", place=PLACE).plaintext == "jwt"

    file.write_text(
        written(rotate(parse_keys(file.read_text()), now=NOW, delay_seconds=300, keep_seconds=DAY).keys)
    )
    await early.look()
    understand_each_other()
    clock.seconds = NOW + 299
    await late.look()
    understand_each_other()
    assert early.sealer.sealing_id == late.sealer.sealing_id == first
    clock.seconds = NOW + 300
    await early.look()
    understand_each_other()
    await late.look()
    understand_each_other()
    assert early.sealer.sealing_id == late.sealer.sealing_id != first


@pytest.mark.parametrize("content", ["", "garbage", None])
async def test_a_file_that_is_no_ring_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    file = tmp_path / "ring"
    file.write_text(written((key(),)))
    ring = LivingRing(file.read_text(), file, now=Clock())
    sealing = ring.sealer.sealing_id
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    for _ in range(3):
        await ring.look()
    assert ring.sealer.sealing_id == sealing
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    file.write_text(written((new := key(),)))
    await ring.look()
    assert ring.sealer.sealing_id == new.id


async def test_a_running_replica_reads_the_ring_again(
    start: Start,
    server: FakeAuthorizationServer,
    settings: Settings,
    clock: Clock,
    token: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "token_broker.sealing_ring")
    monkeypatch.setattr(sealing_ring, "LOOK_SECONDS", 0.01)
    server.knows(token)
    file = tmp_path / "ring"
    file.write_text(settings.sealing_key.get_secret_value())
    one, other = await start(sealing_key_file=file), await start(sealing_key_file=file)
    first = (await one.exchange(token)).json()["access_token"]
    keys = rotate(parse_keys(file.read_text()), now=NOW, delay_seconds=60, keep_seconds=DAY).keys
    file.write_text(written(keys))
    await eventually(lambda: caplog.text.count("sealing keys: 2 open") == 2)
    clock.seconds = NOW + 60
    await eventually(lambda: caplog.text.count(f"{keys[0].id} seals") == 2)
    assert (await other.exchange(token)).json()["access_token"] == first
    server.knows(token + "2", delegationId="another")
    assert (await one.exchange(token + "2")).status_code == 200
    assert (await other.exchange(token + "2")).status_code == 200
    assert (server.introspections, server.exchanges) == (2, 2)


async def test_a_revoked_delegation_without_a_name_stays_revoked_after_a_rotation(
    start: Start, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    server.knows(token, delegationId=None, jti=None)
    before = await start(sealing_key=SecretStr(written((key(),))))
    assert (await before.introspect(token)).status_code == 200
    form = {"token": token} | before.assertion()
    assert (await before.http.post("/revoke", data=form)).status_code == 200
    # Whatever else is forgotten: the tombstone is what counts.
    for pointer in redis.matching("{p:*"):
        redis.drop(pointer)
    after = await start(sealing_key=SecretStr(written((key(),))))
    assert (await after.introspect(token)).status_code == 204


async def test_a_ring_given_without_a_file_rotates_by_its_dates(settings: Settings) -> None:
    clock, old, new = Clock(), key(), key(NOW + 60)
    ring = LivingRing(SecretStr(f"{new},{old}").get_secret_value(), None, now=clock)
    assert ring.sealer.sealing_id == old.id
    clock.seconds = NOW + 60
    await ring.look()
    assert ring.sealer.sealing_id == new.id
