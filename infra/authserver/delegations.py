"""Delegations: what a user let a client do. Everything issued under one lives and dies with it."""

import json
from dataclasses import dataclass

from authcore.claims import format_scope, parse_scope
from authserver.database import Database
from authserver.event_outbox import Cause, EventOutbox
from authserver.state_thread import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """One grant of one user to one client."""

    delegation_id: str
    email: str | None
    """The user; absent if the client acts for nobody but itself."""
    client_id: str
    scope: frozenset[str]
    audience: str
    purpose: str
    client_type: str
    assurance_level: int
    may_act: frozenset[str] | None = None
    """The only clients that may exchange its tokens (RFC 8693 §4.4); absent: all that may exchange."""
    created_at: int
    revoked_at: int | None = None
    revoked_because: str | None = None
    """Who ended it and why, in words."""


class Delegations:
    """All delegations, revoked ones included."""

    def __init__(self, database: Database, outbox: EventOutbox) -> None:
        self._database = database
        self._outbox = outbox

    @staticmethod
    async def add(transaction: Transaction, delegation: Delegation) -> None:
        """Store a new delegation."""
        await transaction.run(
            "INSERT INTO delegations (delegation_id, email, client_id, scope, audience, purpose, client_type,"
            " assurance_level, may_act, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            delegation.delegation_id,
            delegation.email,
            delegation.client_id,
            format_scope(delegation.scope),
            delegation.audience,
            delegation.purpose,
            delegation.client_type,
            delegation.assurance_level,
            None if delegation.may_act is None else json.dumps(sorted(delegation.may_act)),
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

    async def living_of_client(self, client_id: str) -> list[str]:
        """Return the ids of a client's delegations that have not ended."""
        rows = await self._database.all(
            "SELECT delegation_id FROM delegations WHERE client_id = ? AND revoked_at IS NULL", client_id
        )
        return [row["delegation_id"] for row in rows]

    async def revoke(self, delegation_id: str, now: int, cause: Cause) -> bool:
        """End a delegation and with it every token issued under it; return false if it had ended before.

        There is no other way to end one, so that every end is announced.
        """
        async with self._database.transaction() as transaction:
            rows = await transaction.run(
                "UPDATE delegations SET revoked_at = ?, revoked_because = ?"
                " WHERE delegation_id = ? AND revoked_at IS NULL RETURNING 1",
                now,
                cause.reason,
                delegation_id,
            )
            if rows:
                await self._outbox.add(transaction, delegation_id, cause, now)
        self._outbox.wake()
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
        may_act=None if row["may_act"] is None else frozenset(json.loads(row["may_act"])),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        revoked_because=row["revoked_because"],
    )
