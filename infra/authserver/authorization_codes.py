"""Authorization codes: one minute, one use (RFC 6749 §4.1.2)."""

from dataclasses import dataclass
from typing import Final

from authcore.claims import format_scope, parse_scope
from authserver.authorization_requests import AuthorizationRequest
from authserver.database import Database
from authserver.secret_values import new_secret, secret_hash
from authserver.state_thread import Transaction

LIFETIME_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCode:
    """What a code stands for."""

    code_hash: bytes
    client_id: str
    redirect_uri: str
    email: str
    scope: frozenset[str]
    audience: str
    code_challenge: str
    dpop_jkt: str | None
    expires_at: int
    delegation_id: str | None
    """What it was redeemed for, once it was."""


class AuthorizationCodes:
    """All codes, by their hash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, granted: AuthorizationRequest, email: str, now: int) -> str:
        """Return a new code for what this user granted."""
        code = new_secret()
        await self._database.write(
            "INSERT INTO authorization_codes (code_hash, client_id, redirect_uri, email, scope, audience,"
            " code_challenge, dpop_jkt, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            secret_hash(code),
            granted.client_id,
            granted.redirect_uri,
            email,
            format_scope(granted.scope),
            granted.audience,
            granted.code_challenge,
            granted.dpop_jkt,
            now + LIFETIME_SECONDS,
        )
        return code

    async def find(self, code: str) -> IssuedCode | None:
        """Return what a code stands for, redeemed and expired ones included."""
        return await self.find_by_hash(secret_hash(code))

    async def find_by_hash(self, code_hash: bytes) -> IssuedCode | None:
        """Return what the code with this hash stands for."""
        row = await self._database.first("SELECT * FROM authorization_codes WHERE code_hash = ?", code_hash)
        if row is None:
            return None
        return IssuedCode(
            code_hash=row["code_hash"],
            client_id=row["client_id"],
            redirect_uri=row["redirect_uri"],
            email=row["email"],
            scope=parse_scope(row["scope"]),
            audience=row["audience"],
            code_challenge=row["code_challenge"],
            dpop_jkt=row["dpop_jkt"],
            expires_at=row["expires_at"],
            delegation_id=row["delegation_id"],
        )

    @staticmethod
    async def redeem(transaction: Transaction, code: IssuedCode, delegation_id: str) -> bool:
        """Mark the code as used for this delegation; return false if another request was faster."""
        rows = await transaction.run(
            "UPDATE authorization_codes SET delegation_id = ? WHERE code_hash = ? AND delegation_id IS NULL"
            " RETURNING 1",
            delegation_id,
            code.code_hash,
        )
        return bool(rows)
