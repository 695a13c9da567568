"""Browser sessions: one cookie, anonymous before login and another one after it."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from authcore.clock import Clock
from authserver.database import Database
from authserver.secret_values import new_secret, secret_hash

ANONYMOUS_SECONDS: Final = 8 * 3600
"""Longer than anything that waits in such a session; it is worth nothing by itself."""

MAX_COOKIE_LENGTH: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser."""

    secret: str
    """The cookie's value."""
    email: str | None = None
    authenticated_at: int | None = None

    @property
    def session_hash(self) -> bytes:
        """What the database knows the session by."""
        return secret_hash(self.secret)

    def csrf_token(self, purpose: str) -> str:
        """Return what a form of this browser must bring back, for a purpose such as an authorization request.

        It follows from the cookie, so that only a page we gave to this browser can hold it.
        """
        digest = hmac.digest(self.secret.encode(), b"csrf|" + purpose.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")

    def accepts_csrf(self, purpose: str, presented: str) -> bool:
        """Tell whether the form came from a page of this browser and for this purpose."""
        return hmac.compare_digest(self.csrf_token(purpose).encode(), presented.encode())


class Sessions:
    """All browser sessions."""

    def __init__(self, database: Database, *, lifetime_seconds: int, secure: bool, now: Clock) -> None:
        self._database = database
        self._lifetime_seconds = lifetime_seconds
        self._secure = secure
        # The prefix makes browsers insist on Secure and on this very host (RFC 6265bis §4.1.3.2).
        self._cookie = "__Host-authserver" if secure else "authserver"
        self._now = now

    async def find(self, request: Request) -> Session | None:
        """Return the session of the request's cookie, if it is alive."""
        secret = request.cookies.get(self._cookie)
        if not secret or len(secret) > MAX_COOKIE_LENGTH:
            return None
        row = await self._database.first(
            "SELECT email, authenticated_at FROM browser_sessions WHERE session_hash = ? AND expires_at > ?",
            secret_hash(secret),
            self._now(),
        )
        if row is None:
            return None
        return Session(secret=secret, email=row["email"], authenticated_at=row["authenticated_at"])

    async def start(self) -> Session:
        """Return a new anonymous session."""
        session = Session(secret=new_secret())
        await self._database.write(
            "INSERT INTO browser_sessions (session_hash, expires_at) VALUES (?, ?)",
            session.session_hash,
            self._now() + ANONYMOUS_SECONDS,
        )
        return session

    async def log_in(self, before: Session, email: str) -> Session:
        """Return a new session for this user that takes over what the old one had begun.

        The old cookie is worth nothing any more: whoever planted it in the browser gains nothing.
        """
        now = self._now()
        session = Session(secret=new_secret(), email=email, authenticated_at=now)
        async with self._database.transaction() as transaction:
            await transaction.run(
                "INSERT INTO browser_sessions (session_hash, email, authenticated_at, expires_at)"
                " VALUES (?, ?, ?, ?)",
                session.session_hash,
                email,
                now,
                now + self._lifetime_seconds,
            )
            await transaction.run(
                "UPDATE authorization_requests SET session_hash = ? WHERE session_hash = ?",
                session.session_hash,
                before.session_hash,
            )
            await transaction.run("DELETE FROM browser_sessions WHERE session_hash = ?", before.session_hash)
        return session

    async def renew(self, before: Session) -> Session:
        """Return the same session under a new cookie: what is added to it is out of the old one's reach."""
        session = replace(before, secret=new_secret())
        async with self._database.transaction() as transaction:
            for table in ("browser_sessions", "authorization_requests"):
                await transaction.run(
                    f"UPDATE {table} SET session_hash = ? WHERE session_hash = ?",  # noqa: S608  our own names
                    session.session_hash,
                    before.session_hash,
                )
        return session

    async def end(self, session: Session) -> None:
        """Forget a session: its cookie is worth nothing any more."""
        await self._database.write(
            "DELETE FROM browser_sessions WHERE session_hash = ?", session.session_hash
        )

    def remember(self, response: Response, session: Session) -> None:
        """Give the browser the session's cookie."""
        response.set_cookie(
            self._cookie, session.secret, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
