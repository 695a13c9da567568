"""What users have agreed to before."""

from authcore.claims import covers, format_scope, parse_scope
from authserver.authorization_requests import AuthorizationRequest
from authserver.database import Database


class Consents:
    """One record for each user, client and audience."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def covers(self, request: AuthorizationRequest, email: str) -> bool:
        """Tell whether this user agreed to all of this before."""
        given = await self.given(request, email)
        return bool(request.scope) and covers(given, request.scope)

    async def give(self, request: AuthorizationRequest, email: str, now: int) -> None:
        """Remember that this user agreed, in addition to what was agreed before."""
        scope = request.scope | await self.given(request, email)
        await self._database.write(
            "INSERT INTO consents (email, client_id, audience, scope, given_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET scope = excluded.scope, given_at = excluded.given_at",
            email,
            request.client_id,
            request.audience,
            format_scope(scope),
            now,
        )

    async def forget_client(self, client_id: str) -> None:
        """Forget what all users agreed to for a client that is gone, or is not what it was."""
        await self._database.write("DELETE FROM consents WHERE client_id = ?", client_id)

    async def withdraw(self, email: str, client_id: str, audience: str) -> None:
        """Forget what this user agreed to, and what was about to be handed out because of it."""
        async with self._database.transaction() as transaction:
            for table in ("consents", "authorization_codes"):
                # A code that was used stays, so that its replay is still recognised.
                unused = "" if table == "consents" else " AND delegation_id IS NULL"
                await transaction.run(
                    f"DELETE FROM {table} WHERE email = ? AND client_id = ? AND audience = ?{unused}",  # noqa: S608  our own names
                    email,
                    client_id,
                    audience,
                )

    async def given(self, request: AuthorizationRequest, email: str) -> frozenset[str]:
        """Return what this user agreed to before."""
        row = await self._database.first(
            "SELECT scope FROM consents WHERE email = ? AND client_id = ? AND audience = ?",
            email,
            request.client_id,
            request.audience,
        )
        return frozenset() if row is None else parse_scope(row["scope"])
