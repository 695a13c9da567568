"""Announcements that wait to be delivered: stored together with the revocation, or not at all."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from authserver.database import Database
from authserver.secret_values import new_identifier
from authserver.settings import ReceiverSettings
from authserver.state_thread import Transaction

BATCH: Final = 100

Initiator = Literal["user", "admin", "system"]
"""Who ended a delegation (CAEP §2, `initiating_entity`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a delegation ended, as receivers are told."""

    initiator: Initiator
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One event for one receiver."""

    event_id: str
    """The `jti`: the same in every attempt, so that receivers recognise what they have seen."""
    receiver: str
    delegation_id: str
    cause: Cause
    happened_at: int


class EventOutbox:
    """What receivers have not acknowledged yet."""

    def __init__(self, database: Database, receivers: Iterable[ReceiverSettings]) -> None:
        self._database = database
        self._news = {receiver.url: asyncio.Event() for receiver in receivers}

    async def add(self, transaction: Transaction, delegation_id: str, cause: Cause, now: int) -> None:
        """Store an announcement for every receiver, together with what it announces."""
        for receiver in self._news:
            await transaction.run(
                "INSERT INTO announcements (event_id, receiver, delegation_id, initiator, reason,"
                " happened_at) VALUES (?, ?, ?, ?, ?, ?)",
                new_identifier(),
                receiver,
                delegation_id,
                cause.initiator,
                cause.reason,
                now,
            )

    def wake(self) -> None:
        """Have everything delivered now. To be called once what was added is committed."""
        for news in self._news.values():
            news.set()

    async def waiting(self, receiver: str) -> list[Announcement]:
        """Return the oldest announcements for this receiver, `BATCH` at most; `news` reports later ones."""
        self._news[receiver].clear()
        rows = await self._database.all(
            "SELECT * FROM announcements WHERE receiver = ? ORDER BY happened_at, event_id LIMIT ?",
            receiver,
            BATCH,
        )
        return [
            Announcement(
                event_id=row["event_id"],
                receiver=row["receiver"],
                delegation_id=row["delegation_id"],
                cause=Cause(initiator=row["initiator"], reason=row["reason"]),
                happened_at=row["happened_at"],
            )
            for row in rows
        ]

    async def news(self, receiver: str, timeout_seconds: float | None) -> None:
        """Return when there is something new for this receiver, or after this time."""
        try:
            await asyncio.wait_for(self._news[receiver].wait(), timeout_seconds)
        except TimeoutError:
            return

    async def settle(self, announcement: Announcement) -> None:
        """Forget an announcement: it was acknowledged, or refused for good."""
        await self._database.write("DELETE FROM announcements WHERE event_id = ?", announcement.event_id)
