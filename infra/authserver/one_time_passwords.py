"""Six-digit one-time passwords by mail: few attempts, a short life, one use."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from authserver.database import Database

LIFETIME_SECONDS: Final = 600
ATTEMPTS: Final = 5
MAX_FAILURES: Final = 20
"""Wrong codes for one address within `LIFETIME_SECONDS`, over all its codes: restarting gains nothing."""


class Outcome(Enum):
    """What came of an attempt."""

    RIGHT = auto()
    WRONG = auto()
    OVER = auto()
    """Too many attempts, or too late: a new code is needed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome, and whose address was proven if it was right."""

    outcome: Outcome
    email: str | None = None


class OneTimePasswords:
    """At most one living code for each authorization request.

    An address nobody owns is treated like any other, except that its code reaches nobody.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, request_id: str, email: str, now: int) -> str:
        """Return a new code for this address; any earlier one of this request is void."""
        code = f"{secrets.randbelow(1_000_000):06d}"
        await self._database.write(
            "INSERT INTO login_challenges (request_id, email, code_hash, attempts_left, expires_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET email = excluded.email,"
            " code_hash = excluded.code_hash, attempts_left = excluded.attempts_left,"
            " expires_at = excluded.expires_at",
            request_id,
            email,
            _hash(request_id, code),
            ATTEMPTS,
            now + LIFETIME_SECONDS,
        )
        return code

    async def recipient(self, request_id: str) -> str | None:
        """Return the address the request's code went to."""
        row = await self._database.first(
            "SELECT email FROM login_challenges WHERE request_id = ?", request_id
        )
        return None if row is None else row["email"]

    async def attempt(self, request_id: str, code: str, now: int) -> Attempt:
        """Use up one attempt, and the code itself if it is right."""
        # Counted before it is compared, so that attempts sent at once count each.
        rows = await self._database.write(
            "UPDATE login_challenges SET attempts_left = attempts_left - 1"
            " WHERE request_id = ? AND attempts_left > 0 AND expires_at > ?"
            " RETURNING email, code_hash, attempts_left",
            request_id,
            now,
        )
        if not rows:
            return Attempt(Outcome.OVER)
        email: str = rows[0]["email"]
        failure = await self._presumed_failure(email, now)
        if failure is None:
            return Attempt(Outcome.OVER)
        if not hmac.compare_digest(_hash(request_id, code), rows[0]["code_hash"]):
            return Attempt(Outcome.WRONG if rows[0]["attempts_left"] else Outcome.OVER)
        await self._database.write("DELETE FROM login_failures WHERE rowid = ?", failure)
        used = await self._database.write(
            "DELETE FROM login_challenges WHERE request_id = ? AND code_hash = ? RETURNING 1",
            request_id,
            rows[0]["code_hash"],
        )
        return Attempt(Outcome.RIGHT, email) if used else Attempt(Outcome.OVER)

    async def _presumed_failure(self, email: str, now: int) -> int | None:
        """Count a failure before it is one, and return its row; `None` if there were too many already.

        In one statement: guesses for one address in many authorization requests at once count each.
        """
        rows = await self._database.write(
            "INSERT INTO login_failures (email, failed_at) SELECT ?, ? WHERE (SELECT count(*)"
            " FROM login_failures WHERE email = ? AND failed_at > ?) < ? RETURNING rowid",
            email,
            now,
            email,
            now - LIFETIME_SECONDS,
            MAX_FAILURES,
        )
        return int(rows[0]["rowid"]) if rows else None


def _hash(request_id: str, code: str) -> bytes:
    return hashlib.sha256(f"{request_id}|{code}".encode()).digest()
