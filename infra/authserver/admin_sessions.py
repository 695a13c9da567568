"""Who may see and end everything: whoever has the password of this one server."""

import hmac
from collections import deque
from typing import Final

from pydantic import SecretStr

from authcore.clock import Clock
from authserver.database import Database
from authserver.sessions import Session

LIFETIME_SECONDS: Final = 3600
MAX_FAILURES: Final = 10
FAILURE_SECONDS: Final = 60


class AdminSessions:
    """Browser sessions that may administer. Without a password there are none."""

    def __init__(self, database: Database, password: SecretStr | None, *, now: Clock) -> None:
        self._database = database
        self._password = password
        self._now = now
        self._failures = deque[int](maxlen=MAX_FAILURES)

    @property
    def locked(self) -> bool:
        """Whether there were so many wrong passwords lately that even the right one has to wait."""
        return len(self._failures) == MAX_FAILURES and self._failures[0] > self._now() - FAILURE_SECONDS

    def accepts(self, presented: str) -> bool:
        """Tell whether this is the password."""
        if self._password is None or self.locked:
            return False
        expected = self._password.get_secret_value()
        right = hmac.compare_digest(expected.encode(), presented.encode())
        if not right:
            self._failures.append(self._now())
        return right

    async def begin(self, session: Session) -> None:
        """Let this browser session administer for a while."""
        await self._database.write(
            "INSERT INTO admin_sessions (session_hash, expires_at) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at",
            session.session_hash,
            self._now() + LIFETIME_SECONDS,
        )

    async def may(self, session: Session) -> bool:
        """Tell whether this browser session may administer."""
        row = await self._database.first(
            "SELECT 1 FROM admin_sessions WHERE session_hash = ? AND expires_at > ?",
            session.session_hash,
            self._now(),
        )
        return row is not None

    async def end(self, session: Session) -> None:
        """Take it back."""
        await self._database.write("DELETE FROM admin_sessions WHERE session_hash = ?", session.session_hash)
