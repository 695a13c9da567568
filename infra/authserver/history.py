"""What happened lately, as far as the state still knows it: read from the tables, written by nobody."""

from dataclasses import dataclass
from typing import Final

from authserver.database import Database

_HAPPENED: Final = """
SELECT created_at AS at, 'Client registered' AS what, NULL AS email, client_id AS about, NULL AS why
    FROM clients
UNION ALL SELECT given_at, 'Consent given', email, client_id, NULL FROM consents
UNION ALL SELECT created_at, 'Delegation began', email, delegation_id, NULL FROM delegations
UNION ALL SELECT revoked_at, 'Delegation revoked', email, delegation_id, revoked_because FROM delegations
    WHERE revoked_at IS NOT NULL
UNION ALL SELECT authenticated_at, 'Signed in', email, NULL, NULL FROM browser_sessions
    WHERE email IS NOT NULL
UNION ALL SELECT failed_at, 'Wrong one-time password', email, NULL, NULL FROM login_failures
UNION ALL SELECT created_at, 'Signing key made', NULL, kid, NULL FROM signing_keys
ORDER BY at DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened."""

    at: int
    what: str
    email: str | None
    about: str | None
    """The identifier of the client, delegation or key."""
    why: str | None = None
    """Who ended a delegation, and for what reason."""


class History:
    """The latest happenings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, count: int) -> list[Happening]:
        """Return the latest, the last one first."""
        rows = await self._database.all(_HAPPENED, count)
        return [
            Happening(at=row["at"], what=row["what"], email=row["email"], about=row["about"], why=row["why"])
            for row in rows
        ]
