"""Approvals in Redis, where every replica finds them: asked for, decided once, used once.

| key | holds |
|---|---|
| `approvals:<id>` | what is asked, sealed |
| `approvals:<id>:decision` | the user's answer, sealed; the first one stays |
| `approvals:<id>:used` | that the call was carried out |
| `approvals:of:<digest of the call>` | the id, so that the same call finds its approval |

All of them expire. None is a token, and an id is no authority: whoever opens it is asked who they are.
"""

import secrets
from dataclasses import dataclass
from typing import Final, cast

from authcore.clock import Clock
from authcore.events import DECISIONS, ApprovalEvent, Outcome
from authcore.redis_client import BoundedRedis
from mcp_gateway.approvals.calls import Call, call_from
from mcp_gateway.approvals.sealing import Sealer

STREAM_LENGTH: Final = 10_000
MARGIN_SECONDS: Final = 60
"""A mark outlives what it speaks of."""


def new_id() -> str:
    """Return a name for an approval that nobody guesses: 192 random bits in base64url."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to a user."""

    id: str
    call: Call
    until: int
    """When it is too late to answer, and to make use of the answer; seconds since the epoch."""


class Approvals:
    """Asks, decides and uses. Whatever cannot be recorded does not happen.

    All methods raise `TemporarilyUnavailable` if Redis is away.
    """

    def __init__(self, redis: BoundedRedis, sealer: Sealer, *, seconds: int, now: Clock) -> None:
        self._redis = redis
        self._sealer = sealer
        self._seconds = seconds
        self._now = now

    async def ask(self, call: Call) -> Approval:
        """Return the open question about this call, a new one if there is none.

        An agent that repeats the call does not ask twice.
        """
        index = f"approvals:of:{call.digest}"
        known = await self._value(index)
        found = await self.find(known) if known is not None else None
        if found is not None:
            return found
        approval = Approval(new_id(), call, self._now() + self._seconds)
        await self.record(approval.id, call, Outcome.ASKED, by=call.client_id)
        document = {"call": call.document(), "until": approval.until}
        sealed = self._sealer.seal(_question(approval.id), document, until=approval.until)
        async with self._redis.use() as redis:
            await redis.set(_key(approval.id), sealed, ex=self._seconds)
            # Two questions at once: the later one is found, the other can be answered and helps nobody.
            await redis.set(index, approval.id, ex=self._seconds)
        return approval

    async def find(self, approval_id: str) -> Approval | None:
        """Return a question that can still be answered or whose answer can still be used."""
        value = await self._value(_key(approval_id))
        document = None if value is None else self._sealer.open(_question(approval_id), value)
        return (
            None
            if document is None
            else Approval(approval_id, call_from(document["call"]), document["until"])
        )

    async def decision(self, approval: Approval) -> bool | None:
        """Return what the user said, or `None` if they have said nothing yet."""
        value = await self._value(_key(approval.id, "decision"))
        document = None if value is None else self._sealer.open(_answer(approval.id), value)
        return None if document is None else document["approved"] is True

    async def decide(self, approval: Approval, *, approved: bool, by: str) -> bool:
        """Record the user's answer; return what holds, which is the first answer there was."""
        held = await self.decision(approval)
        if held is not None:
            return held
        await self.record(approval.id, approval.call, Outcome.APPROVED if approved else Outcome.DENIED, by=by)
        sealed = self._sealer.seal(_answer(approval.id), {"approved": approved}, until=approval.until)
        async with self._redis.use() as redis:
            await redis.set(_key(approval.id, "decision"), sealed, nx=True, ex=self._seconds + MARGIN_SECONDS)
        return await self.decision(approval) is True

    async def use(self, approval_id: str, call: Call) -> bool:
        """Return true to one caller only, ever: whoever gets it carries the call out."""
        async with self._redis.use() as redis:
            # From here on the same call asks anew. What fails now costs an approval, never a second use.
            await redis.delete(f"approvals:of:{call.digest}")
            first = await redis.set(
                _key(approval_id, "used"), "1", nx=True, ex=self._seconds + 2 * MARGIN_SECONDS
            )
        if first:
            await self.record(approval_id, call, Outcome.USED, by=call.client_id)
        return bool(first)

    async def record(self, approval_id: str, call: Call, outcome: Outcome, *, by: str) -> None:
        """Write a decision on the stream, before it counts.

        Args:
            approval_id: which approval.
            call: what it is about.
            outcome: what became of it.
            by: the id of the client through which it came about.
        """
        user = self._sealer.name(f"{call.issuer} {call.subject}")
        event = ApprovalEvent(approval_id, outcome, call.tool, call.client_id, by, user, self._now())
        async with self._redis.use() as redis:
            await redis.xadd(DECISIONS, {**event.to_fields()}, maxlen=STREAM_LENGTH, approximate=True)

    async def _value(self, key: str) -> str | None:
        async with self._redis.use() as redis:
            value = cast("bytes | None", await redis.get(key))
        return None if value is None else value.decode()


def _key(approval_id: str, part: str = "") -> str:
    return f"approvals:{approval_id}:{part}" if part else f"approvals:{approval_id}"


def _question(approval_id: str) -> str:
    return f"approval {approval_id}"


def _answer(approval_id: str) -> str:
    return f"decision {approval_id}"
