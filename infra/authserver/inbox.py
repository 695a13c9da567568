"""The mails of this server's users: where the SMTP server puts them, and where the inbox page reads them."""

from dataclasses import asdict, dataclass
from typing import Final

from authserver.database import Database

SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail."""

    id: int
    recipient: str
    subject: str
    text: str
    code: str
    """The one-time password in it; empty if there is none."""
    received_at: int

    def document(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


class Inbox:
    """All mails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(
        self, recipient: str, *, subject: str, text: str, code: str, known: bool, now: int
    ) -> None:
        """Put a mail into the inbox; for an unknown recipient do the same work in vain."""
        await self._database.write(
            "INSERT INTO mails (recipient, subject, text, code, received_at) SELECT ?, ?, ?, ?, ? WHERE ?",
            recipient,
            subject,
            text,
            code,
            now,
            int(known),
        )

    async def newest(self, recipient: str | None = None) -> list[Mail]:
        """Return the latest mails, of one recipient or all, newest first."""
        rows = await self._database.all(
            "SELECT id, recipient, subject, text, code, received_at FROM mails"
            " WHERE ? IS NULL OR recipient = ? ORDER BY id DESC LIMIT ?",
            recipient,
            recipient,
            SHOWN,
        )
        return [
            Mail(
                id=row["id"],
                recipient=row["recipient"],
                subject=row["subject"],
                text=row["text"],
                code=row["code"],
                received_at=row["received_at"],
            )
            for row in rows
        ]
