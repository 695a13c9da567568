"""Sealing of what is kept in Redis: AES-256-GCM under keys that only the presented token completes.

A sealed value opens only with a key of the ring, the token it was sealed for, and in its place:

    v1.<key id>.<until>.<12 bytes nonce><ciphertext and tag>

`until` is readable so that Redis itself can drop what has expired; it is authenticated all the same.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authcore.key_ring import KEY_BYTES, base64url, ring_key

NONCE_BYTES = 12

_SEALED = re.compile(rb"(v1\.([0-9a-f]{8})\.([0-9]{1,12})\.)(.+)", re.DOTALL)


class UnopenableValue(Exception):
    """The value was tampered with, moved, or sealed with a key or token that is not at hand."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is kept. A value does not open anywhere else."""

    key: str
    field: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed, and the time after which it must not be used."""

    plaintext: str = field(repr=False)
    until: int


def fingerprint(token: str) -> str:
    """Return what stands for a token in names: its SHA-256, base64url."""
    return base64url(hashlib.sha256(token.encode()).digest())


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key of the ring. It opens at once, and seals from a time when every replica has read it."""

    octets: bytes = field(repr=False)
    seals_from: int = 0

    @property
    def id(self) -> str:
        """The name of the key in what it has sealed. It says nothing of the key."""
        return _derive(self.octets, b"key id", length=4).hex()

    def __str__(self) -> str:
        """Return the key as it is written in the ring. It is a secret."""
        return base64url(self.octets) + (f"@{self.seals_from}" if self.seals_from else "")


def parse_keys(text: str) -> tuple[SealingKey, ...]:
    """Return the keys of a ring: base64url, perhaps with `@<time>`, separated by commas or white space.

    Raises:
        ValueError: none, or one is not 32 bytes in base64url, or is there twice.
    """
    keys = tuple(_sealing_key(part) for part in text.replace(",", " ").split())
    if not keys:
        raise ValueError("no sealing key")
    if len({key.octets for key in keys}) != len(keys):
        raise ValueError("a sealing key is there twice")
    return keys


def in_order(keys: tuple[SealingKey, ...], *, now: int) -> tuple[bytes, ...]:
    """Return the ring as it is now. The first key seals: of those that have begun, the last to do so."""
    begun = sorted((key for key in keys if key.seals_from <= now), key=lambda key: -key.seals_from)
    waiting = sorted((key for key in keys if key.seals_from > now), key=lambda key: key.seals_from)
    return tuple(key.octets for key in (*begun, *waiting))


def parse_ring(text: str, *, now: int = 0) -> tuple[bytes, ...]:
    """Return the ring that is written as `parse_keys` has it, as it is at this time.

    Raises:
        ValueError: as `parse_keys`.
    """
    return in_order(parse_keys(text), now=now)


def _sealing_key(text: str) -> SealingKey:
    encoded, dated, moment = text.partition("@")
    octets = ring_key(encoded)
    if dated and not (moment.isascii() and moment.isdigit() and len(moment) < 12):
        raise ValueError("what stands behind the @ of a sealing key is not a time in seconds since 1970")
    return SealingKey(octets, int(moment or "0"))


class Sealer:
    """Seals with the first key of the ring and opens with any."""

    def __init__(self, ring: tuple[bytes, ...]) -> None:
        self.use(ring)

    @property
    def sealing_id(self) -> str:
        """The name of the key that seals."""
        return self._sealing_id

    def use(self, ring: tuple[bytes, ...]) -> None:
        """Seal and open with these keys from now on."""
        self._ring = {SealingKey(key).id: key for key in ring}
        self._sealing_id = next(iter(self._ring))
        self._user_key = _derive(ring[0], b"user")

    def seal(self, plaintext: str, *, token: str, place: Place, until: int) -> bytes:
        """Return the sealed value."""
        header = f"v1.{self._sealing_id}.{until}.".encode("ascii")
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = _cipher(self._ring[self._sealing_id], token)
        return header + nonce + cipher.encrypt(nonce, plaintext.encode(), _associated(header, place))

    def open(self, value: bytes, *, token: str, place: Place) -> Opened:
        """Return what was sealed for this token in this place.

        Raises:
            UnopenableValue: it does not open.
        """
        parts = _SEALED.fullmatch(value)
        if parts is None:
            raise UnopenableValue("malformed")
        header, key_id, until, rest = parts.groups()
        ring_key = self._ring.get(key_id.decode("ascii"))
        if ring_key is None:
            raise UnopenableValue("sealed with an unknown key")
        nonce, ciphertext = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        try:
            plaintext = _cipher(ring_key, token).decrypt(nonce, ciphertext, _associated(header, place))
        except (InvalidTag, ValueError):
            raise UnopenableValue("not authentic") from None
        return Opened(plaintext.decode(), int(until))

    def user(self, subject: str) -> str:
        """Return a name for a user: the same for all delegations of one, and no help in finding who it is."""
        return base64url(hmac.digest(self._user_key, subject.encode("utf-8", "surrogatepass"), "sha256")[:16])


def readable_until(value: bytes) -> int | None:
    """Return the time after which a sealed value must not be used. It is readable, and not verified here."""
    parts = _SEALED.fullmatch(value)
    return None if parts is None else int(parts[3])


def _cipher(ring_key: bytes, token: str) -> AESGCM:
    return AESGCM(_derive(token.encode(), b"seal", salt=ring_key))


def _derive(secret: bytes, purpose: bytes, *, salt: bytes | None = None, length: int = KEY_BYTES) -> bytes:
    info = b"delegant token_broker v1: " + purpose
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


def _associated(header: bytes, place: Place) -> bytes:
    # Neither a header nor a key contains NUL, and the field comes last: no two places give the same octets.
    return b"\0".join((header, place.key.encode(), place.field.encode()))
