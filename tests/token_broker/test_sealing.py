import secrets

import pytest

from authcore.key_ring import base64url, parse_ring
from token_broker.sealing import Place, Sealer, UnopenableValue

KEY, NEXT_KEY = secrets.token_bytes(32), secrets.token_bytes(32)
HERE = Place("{d:1}:tokens", "fingerprint|phantom")
SEALER = Sealer((KEY,))


def sealed(plaintext: str = "a.b.c", *, token: str = "token") -> bytes:
    return SEALER.seal(plaintext, token=token, place=HERE, until=17)


def test_what_was_sealed_opens_for_the_holder_of_the_token() -> None:
    opened = SEALER.open(sealed(), token="token", place=HERE)
    assert (opened.plaintext, opened.until) == ("a.b.c", 17)


@pytest.mark.parametrize(
    ("token", "place"),
    [
        ("another", HERE),
        ("token", Place("{d:2}:tokens", HERE.field)),
        ("token", Place(HERE.key, "fingerprint|https://api.test|read")),
    ],
)
def test_it_opens_with_no_other_token_and_in_no_other_place(token: str, place: Place) -> None:
    with pytest.raises(UnopenableValue):
        SEALER.open(sealed(), token=token, place=place)


def test_it_does_not_open_with_another_ring() -> None:
    with pytest.raises(UnopenableValue):
        Sealer((NEXT_KEY,)).open(sealed(), token="token", place=HERE)


def test_a_ring_opens_what_its_older_keys_sealed() -> None:
    ring = Sealer((NEXT_KEY, KEY))
    assert ring.open(sealed(), token="token", place=HERE).plaintext == "a.b.c"
    by_the_new_key = ring.seal("d.e.f", token="token", place=HERE, until=17)
    with pytest.raises(UnopenableValue):
        SEALER.open(by_the_new_key, token="token", place=HERE)


def test_no_octet_of_a_sealed_value_can_be_changed() -> None:
    value = sealed()
    for position in range(len(value)):
        changed = bytearray(value)
        changed[position] ^= 1
        with pytest.raises(UnopenableValue):
            SEALER.open(bytes(changed), token="token", place=HERE)


@pytest.mark.parametrize("value", [b"", b"v1.", b"v2.00000000.1.x", b"garbage", sealed()[:30]])
def test_what_was_never_sealed_does_not_open(value: bytes) -> None:
    with pytest.raises(UnopenableValue):
        SEALER.open(value, token="token", place=HERE)


def test_its_life_cannot_be_prolonged() -> None:
    with pytest.raises(UnopenableValue):
        SEALER.open(sealed().replace(b".17.", b".99."), token="token", place=HERE)


def test_equal_values_are_sealed_differently_each_time() -> None:
    assert sealed() != sealed()


def test_a_ring_is_read_with_its_first_key_first() -> None:
    text = f"{base64url(KEY)},\n{base64url(NEXT_KEY)}="
    assert parse_ring(text) == (KEY, NEXT_KEY)


@pytest.mark.parametrize(
    "text", ["", " , ", "c2hvcnQ", "not base64!", base64url(KEY) + "A", f"{base64url(KEY)} {base64url(KEY)}"]
)
def test_a_ring_that_is_not_sound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="sealing key"):
        parse_ring(text)
