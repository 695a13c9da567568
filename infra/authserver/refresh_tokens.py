"""Refresh tokens: another one at each use, and an old one ends everything (RFC 9700 §4.14)."""

from dataclasses import dataclass

from authserver.database import Database
from authserver.delegations import Delegation, delegation_of
from authserver.secret_values import new_secret, secret_hash
from authserver.state_thread import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRefreshToken:
    """What is known of a refresh token."""

    token_hash: bytes
    delegation: Delegation
    dpop_jkt: str | None
    """The key of a public client that has to be shown again (RFC 9449 §5)."""
    expires_at: int
    used: bool


class RefreshTokens:
    """All refresh tokens, by their hash, used ones included: that is how reuse is noticed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    async def issue(
        transaction: Transaction, delegation_id: str, *, expires_at: int, dpop_jkt: str | None
    ) -> str:
        """Return a new token."""
        token = new_secret()
        await transaction.run(
            "INSERT INTO refresh_tokens (token_hash, delegation_id, dpop_jkt, expires_at)"
            " VALUES (?, ?, ?, ?)",
            secret_hash(token),
            delegation_id,
            dpop_jkt,
            expires_at,
        )
        return token

    async def find(self, token: str, now: int) -> StoredRefreshToken | None:
        """Return what is known of the token, unless it expired or its delegation was revoked."""
        row = await self._database.first(
            "SELECT d.*, r.token_hash, r.dpop_jkt, r.expires_at, r.used FROM refresh_tokens AS r"
            " JOIN delegations AS d USING (delegation_id)"
            " WHERE r.token_hash = ? AND r.expires_at > ? AND d.revoked_at IS NULL",
            secret_hash(token),
            now,
        )
        if row is None:
            return None
        return StoredRefreshToken(
            token_hash=row["token_hash"],
            delegation=delegation_of(row),
            dpop_jkt=row["dpop_jkt"],
            expires_at=row["expires_at"],
            used=bool(row["used"]),
        )

    @staticmethod
    async def use(transaction: Transaction, token: StoredRefreshToken) -> bool:
        """Mark a token as used; return false if another request was faster."""
        rows = await transaction.run(
            "UPDATE refresh_tokens SET used = 1 WHERE token_hash = ? AND used = 0 RETURNING 1",
            token.token_hash,
        )
        return bool(rows)
