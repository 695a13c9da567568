"""When a delegation was last used, as far as this server was asked about its tokens."""

from authserver.database import Database


class LastUses:
    """Noted in memory and stored now and then: introspection must not wait for a disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, int] = {}

    def note(self, delegation_id: str, now: int) -> None:
        """Note that a token of this delegation was good for something."""
        self._noted[delegation_id] = now

    async def store(self) -> None:
        """Write down what was noted since the last time."""
        noted, self._noted = self._noted, {}
        async with self._database.transaction() as transaction:
            await transaction.run_for_each(
                "INSERT INTO delegation_uses (delegation_id, used_at) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET used_at = excluded.used_at",
                list(noted.items()),
            )
