"""The signing keys: kept in the database, so that a restart invalidates nothing (RFC 7517, RFC 7518).

A key is published before it signs and after it has stopped, so that nobody ever meets a token of a key they
could not have known: see `key_rotation.py`.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from joserfc import jws
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from authcore.client_assertion import StaticKeys
from authcore.clock import Clock
from authserver.database import Database
from authserver.key_rotation import RotationUnderWay, prepare, rotate
from authserver.settings import SigningAlgorithm
from authserver.state_thread import Row

_REGISTRY: Final = jws.JWSRegistry(algorithms=get_args(SigningAlgorithm))
_TO_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key and its times."""

    key: ECKey | RSAKey
    algorithm: str
    signs_from: int | None
    """Absent: published ahead, for the next rotation."""
    published_until: int | None
    """Absent: no other key has taken its place."""


class SigningKeys:
    """All keys of the state file, as it was when they were last read."""

    def __init__(
        self,
        database: Database,
        *,
        algorithm: SigningAlgorithm,
        publish_ahead_seconds: int,
        rotation_seconds: int | None,
        now: Clock,
    ) -> None:
        self._database = database
        self._algorithm: SigningAlgorithm = algorithm
        self._publish_ahead_seconds = publish_ahead_seconds
        self._rotation_seconds = rotation_seconds
        self._now = now
        self._stored: list[tuple[object, ...]] = []
        self._keys: list[SigningKey] = []

    async def start(self) -> None:
        """Make the keys that are missing: one that signs and one for the next rotation."""
        async with self._database.transaction() as transaction:
            await prepare(transaction, self._algorithm, self._now())
        await self.refresh()

    async def refresh(self) -> None:
        """Take over what has changed in the state file: another process may have rotated the keys."""
        rows = await self._database.all(
            "SELECT private_jwk, signs_from, published_until FROM signing_keys"
            " ORDER BY created_at DESC, rowid DESC"
        )
        stored = [tuple(row) for row in rows]
        if stored != self._stored:
            self._keys = [_signing_key(row) for row in rows]
            self._stored = stored

    async def tend(self) -> None:
        """Do what is due: notice a rotation, or start one if they are scheduled."""
        await self.refresh()
        if self._rotation_seconds is None:
            return
        if self._now() < (self.signing().signs_from or 0) + self._rotation_seconds:
            return
        try:
            async with self._database.transaction() as transaction:
                await rotate(transaction, self._algorithm, self._now(), self._publish_ahead_seconds)
        except RotationUnderWay:
            return
        await self.refresh()

    def published(self) -> list[SigningKey]:
        """Return the keys that others may need, newest first."""
        now = self._now()
        return [key for key in self._keys if key.published_until is None or key.published_until > now]

    def jwks(self) -> dict[str, object]:
        """Return the JWK Set of the public keys."""
        return {"keys": [published.key.as_dict(private=False) for published in self.published()]}

    async def key_for(self, kid: str | None, alg: str) -> Key:
        """Return the key that our own token was signed with.

        Raises:
            InvalidToken: it is not published, or not any more.
        """
        return await StaticKeys([published.key for published in self.published()]).key_for(kid, alg)

    def sign(self, claims: Mapping[str, Any], *, token_type: str) -> str:
        """Return a JWT with these claims and this `typ`."""
        signing = self.signing()
        header = {"alg": signing.algorithm, "kid": signing.key.kid, "typ": token_type}
        return jws.serialize_compact(header, _TO_JSON(claims), signing.key, registry=_REGISTRY)

    def signing(self) -> SigningKey:
        """Return the key that signs now."""
        now = self._now()
        begun = [key for key in self._keys if key.signs_from is not None and key.signs_from <= now]
        # Of equal times the one that no other has replaced.
        return max(begun, key=lambda key: (key.signs_from or 0, key.published_until is None))


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


def _signing_key(row: Row) -> SigningKey:
    key = import_key(json.loads(row["private_jwk"]))
    if not isinstance(key, ECKey | RSAKey) or not key.is_private or key.alg is None:
        raise ValueError("the state holds something else than a private EC or RSA key")
    return SigningKey(
        key=key, algorithm=key.alg, signs_from=row["signs_from"], published_until=row["published_until"]
    )
