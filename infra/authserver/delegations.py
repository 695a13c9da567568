"""Delegations: what a user let a client do. Everything issued under one lives and dies with it."""

from dataclasses import dataclass

from authcore.claims import format_scope, parse_scope
from authserver.database import Database, Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """One grant of one user to one client."""

    delegation_id: str
    email: str
    client_id: str
    scope: frozenset[str]
    audience: str
    purpose: str
    client_type: str
    assurance_level: int
    created_at: int
    revoked_at: int | None = None


class Delegations:
    """All delegations, revoked ones included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    async def add(transaction: Transaction, delegation: Delegation) -> None:
        """Store a new delegation."""
        await transaction.run(
            "INSERT INTO delegations (delegation_id, email, client_id, scope, audience, purpose, client_type,"
            " assurance_level, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            delegation.delegation_id,
            delegation.email,
            delegation.client_id,
            format_scope(delegation.scope),
            delegation.audience,
            delegation.purpose,
            delegation.client_type,
            delegation.assurance_level,
            delegation.created_at,
        )

    async def find(self, delegation_id: str) -> Delegation | None:
        """Return the delegation, revoked or not."""
        row = await self._database.first("SELECT * FROM delegations WHERE delegation_id = ?", delegation_id)
        return None if row is None else delegation_of(row)

    async def newest(self, count: int) -> list[Delegation]:
        """Return the latest delegations, the last one first, revoked or not."""
        rows = await self._database.all(
            "SELECT * FROM delegations ORDER BY created_at DESC, delegation_id LIMIT ?", count
        )
        return [delegation_of(row) for row in rows]

    async def revoke(self, delegation_id: str, now: int) -> bool:
        """End a delegation and with it every token issued under it; return false if it had ended before."""
        rows = await self._database.write(
            "UPDATE delegations SET revoked_at = ? WHERE delegation_id = ? AND revoked_at IS NULL"
            " RETURNING 1",
            now,
            delegation_id,
        )
        return bool(rows)


def delegation_of(row: Row) -> Delegation:
    """Return the delegation of a row that holds its columns."""
    return Delegation(
        delegation_id=row["delegation_id"],
        email=row["email"],
        client_id=row["client_id"],
        scope=parse_scope(row["scope"]),
        audience=row["audience"],
        purpose=row["purpose"],
        client_type=row["client_type"],
        assurance_level=row["assurance_level"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )
