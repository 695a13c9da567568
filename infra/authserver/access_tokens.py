"""Opaque access tokens: random, stored as hashes, good only while their delegation lives."""

from dataclasses import dataclass

from authcore.claims import format_scope, parse_scope
from authserver.database import Database
from authserver.delegations import Delegation, delegation_of
from authserver.secret_values import new_identifier, new_secret, secret_hash
from authserver.state_thread import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """What is known of an access token."""

    token_id: str
    delegation: Delegation
    scope: frozenset[str]
    audience: str
    dpop_jkt: str | None
    issued_at: int
    expires_at: int


class AccessTokens:
    """All access tokens, by their hash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    async def issue(
        transaction: Transaction,
        delegation: Delegation,
        *,
        now: int,
        lifetime_seconds: int,
        dpop_jkt: str | None,
    ) -> str:
        """Return a new token for all that the delegation allows, bound to a key if there is one."""
        token = new_secret()
        await transaction.run(
            "INSERT INTO access_tokens (token_hash, token_id, delegation_id, scope, audience, dpop_jkt,"
            " issued_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            secret_hash(token),
            new_identifier(),
            delegation.delegation_id,
            format_scope(delegation.scope),
            delegation.audience,
            dpop_jkt,
            now,
            now + lifetime_seconds,
        )
        return token

    async def find(self, token: str, now: int) -> StoredToken | None:
        """Return what is known of the token, unless it expired or its delegation was revoked."""
        row = await self._database.first(
            "SELECT d.*, t.token_id, t.scope AS token_scope, t.audience AS token_audience, t.dpop_jkt,"
            " t.issued_at, t.expires_at FROM access_tokens AS t JOIN delegations AS d USING (delegation_id)"
            " WHERE t.token_hash = ? AND t.expires_at > ? AND d.revoked_at IS NULL",
            secret_hash(token),
            now,
        )
        if row is None:
            return None
        return StoredToken(
            token_id=row["token_id"],
            delegation=delegation_of(row),
            scope=parse_scope(row["token_scope"]),
            audience=row["token_audience"],
            dpop_jkt=row["dpop_jkt"],
            issued_at=row["issued_at"],
            expires_at=row["expires_at"],
        )
