"""Keys that rotate: a ring written in one setting. Its first key seals, all of its keys open."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

KEY_BYTES = 32


def base64url(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def parse_ring(text: str) -> tuple[bytes, ...]:
    """Return the keys of a ring written as base64url, separated by commas or white space; the first seals.

    Raises:
        ValueError: none, or one is not 32 bytes in base64url, or is there twice.
    """
    ring = tuple(ring_key(part) for part in text.replace(",", " ").split())
    if not ring:
        raise ValueError("no sealing key")
    if len(set(ring)) != len(ring):
        raise ValueError("a sealing key is there twice")
    return ring


def ring_key(text: str) -> bytes:
    """Return one key.

    Raises:
        ValueError: it is not 32 bytes in base64url.
    """
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES or base64url(key) != text.rstrip("="):
        raise ValueError(f"a sealing key is not {KEY_BYTES} bytes in base64url")
    return key
