"""The signing keys: kept in the database, so that a restart invalidates nothing (RFC 7517, RFC 7518 §3.4)."""

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, import_key

from authserver.database import Database

ALGORITHM: Final = "ES256"


class SigningKeys:
    """All keys that are published. The newest signs."""

    def __init__(self, keys: list[ECKey]) -> None:
        self._keys = keys
        self._header = {"alg": ALGORITHM, "kid": keys[0].kid}

    @property
    def published(self) -> list[ECKey]:
        """The keys, newest first."""
        return self._keys

    def jwks(self) -> dict[str, object]:
        """Return the JWK Set of the public keys."""
        return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def sign(self, claims: Mapping[str, Any], *, token_type: str) -> str:
        """Return a JWT with these claims and this `typ`."""
        header = self._header | {"typ": token_type}
        return jwt.encode(header, dict(claims), self._keys[0], algorithms=[ALGORITHM])


async def load_keys(database: Database, now: int) -> SigningKeys:
    """Return the stored keys, after making the first one if there is none."""
    async with database.transaction() as transaction:
        rows = await transaction.run(
            "SELECT private_jwk FROM signing_keys ORDER BY created_at DESC, rowid DESC"
        )
        if rows:
            return SigningKeys([_import(str(row["private_jwk"])) for row in rows])
        key = ECKey.generate_key("P-256", {"alg": ALGORITHM, "use": "sig"}, private=True, auto_kid=True)
        await transaction.run(
            "INSERT INTO signing_keys (kid, private_jwk, created_at) VALUES (?, ?, ?)",
            key.kid,
            json.dumps(key.as_dict(private=True)),
            now,
        )
    return SigningKeys([key])


async def load_secret(database: Database, name: str) -> bytes:
    """Return the 256-bit secret of this name, made at its first use."""
    await database.write(
        "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        name,
        secrets.token_bytes(32),
    )
    row = await database.first("SELECT value FROM secrets WHERE name = ?", name)
    if row is None:
        raise RuntimeError(f"the secret {name} was not stored")
    return bytes(row["value"])


def _import(document: str) -> ECKey:
    key = import_key(json.loads(document))
    if not isinstance(key, ECKey) or not key.is_private:
        raise ValueError("the state holds something else than a private EC key")
    return key
