"""Secrets we hand out: made here, stored only as their SHA-256."""

import hashlib
import secrets


def new_secret() -> str:
    """Return 256 random bits in base64url, 43 characters."""
    return secrets.token_urlsafe(32)


def new_identifier() -> str:
    """Return 128 random bits in base64url: unguessable, but not a secret."""
    return secrets.token_urlsafe(16)


def secret_hash(secret: str) -> bytes:
    """Return what is stored in the secret's place."""
    # Whatever somebody presents has a hash: JSON can hold text that UTF-8 cannot.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
