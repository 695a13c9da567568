"""Authorization requests that were accepted and wait for their user."""

from dataclasses import dataclass
from typing import Final

from authcore.claims import format_scope, parse_scope
from authserver.database import Database
from authserver.sessions import Session
from authserver.state_thread import Row

LIFETIME_SECONDS: Final = 1200
"""Long enough for two one-time passwords."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A valid request (RFC 6749 §4.1.1). Everything in it was checked."""

    request_id: str
    client_id: str
    redirect_uri: str
    """As requested: with the port the client listens on."""
    scope: frozenset[str]
    audience: str
    code_challenge: str
    dpop_jkt: str | None = None
    """The key that the code is bound to (RFC 9449 §10)."""
    state: str | None
    prompt: frozenset[str]
    created_at: int


class AuthorizationRequests:
    """The waiting requests, each bound to the browser it came from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, pending: AuthorizationRequest, session: Session) -> None:
        """Keep a request for this browser."""
        await self._database.write(
            "INSERT INTO authorization_requests (request_id, session_hash, client_id, redirect_uri, scope,"
            " audience, code_challenge, dpop_jkt, state, prompt, created_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            pending.request_id,
            session.session_hash,
            pending.client_id,
            pending.redirect_uri,
            format_scope(pending.scope),
            pending.audience,
            pending.code_challenge,
            pending.dpop_jkt,
            pending.state,
            " ".join(sorted(pending.prompt)),
            pending.created_at,
            pending.created_at + LIFETIME_SECONDS,
        )

    async def find(self, request_id: str, session: Session, now: int) -> AuthorizationRequest | None:
        """Return the request, if it came from this browser and still waits."""
        row = await self._database.first(
            "SELECT * FROM authorization_requests"
            " WHERE request_id = ? AND session_hash = ? AND expires_at > ?",
            request_id,
            session.session_hash,
            now,
        )
        return None if row is None else _request(row)

    async def take(self, request_id: str, session: Session, now: int) -> AuthorizationRequest | None:
        """Return the request and forget it: it is answered once."""
        rows = await self._database.write(
            "DELETE FROM authorization_requests WHERE request_id = ? AND session_hash = ? AND expires_at > ?"
            " RETURNING *",
            request_id,
            session.session_hash,
            now,
        )
        return _request(rows[0]) if rows else None


def _request(row: Row) -> AuthorizationRequest:
    return AuthorizationRequest(
        request_id=row["request_id"],
        client_id=row["client_id"],
        redirect_uri=row["redirect_uri"],
        scope=parse_scope(row["scope"]),
        audience=row["audience"],
        code_challenge=row["code_challenge"],
        dpop_jkt=row["dpop_jkt"],
        state=row["state"],
        prompt=parse_scope(row["prompt"]),
        created_at=row["created_at"],
    )
