"""Keys of one run: made at its start, kept in its private directory, gone with it."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey


def signing_key(kid: str) -> dict[str, Any]:
    """Return a new private JWK for ES256 (RFC 7517, RFC 7518 §6.2)."""
    key = ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256", "use": "sig"}, private=True)
    return dict(key.as_dict(private=True))


def public_part(private_jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JWK without its private members."""
    return dict(ECKey.import_key(dict(private_jwk)).as_dict(private=False))


def secret() -> str:
    """Return 256 random bits in base64url without padding."""
    return secrets.token_urlsafe(32)


def write_private(path: Path, content: str) -> Path:
    """Write a file that only we can read, and return its path."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    return path


def write_jwk(path: Path, jwk: Mapping[str, Any]) -> Path:
    """Write one JWK as JSON into a private file, and return its path."""
    return write_private(path, json.dumps(jwk))
