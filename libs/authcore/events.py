"""What is announced on streams, and how it stands in an entry.

Whoever reads must ignore what it does not know: newer replicas may announce more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from opentelemetry.propagate import inject
from pydantic import BaseModel, ConfigDict, Field

DELEGATIONS: Final = "delegations"
"""The stream's key. It is read by every replica on its own (no consumer group), see docs/adr/0004."""

DECISIONS: Final = "decisions"
"""The stream of what was decided, for the audit. Nobody's answer depends on reading it."""

PRICES: Final = "prices."
"""The streams of prices begin with this; what follows is the region whose stocks they tell of."""


class PriceUpdate(BaseModel):
    """A stock has a new price. Within a region each update has the number after the one before it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = Field(default=1, description="of this message's form")
    symbol: str = Field(min_length=1, max_length=32, description="the stock, as in `GET /stocks/{id}`")
    price: Annotated[Decimal, Field(gt=0, max_digits=15)] = Field(
        description="exact, in units of `currency`; written as a string"
    )
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")
    sequence: int = Field(ge=1, description="number of the update in its region, without gaps")
    at: int = Field(ge=0, description="when, in milliseconds since the epoch")


@dataclass(frozen=True, slots=True)
class DelegationRevoked:
    """A delegation has ended: none of its tokens is good for anything from here on."""

    type: ClassVar[str] = "revoked"

    delegation: str
    """The delegation's tag: its id as it stands in the broker's keys."""
    at: int
    """When it was revoked, in milliseconds since the epoch."""

    def to_fields(self) -> dict[str, str]:
        """Return the entry, with the trace it belongs to."""
        return {"type": self.type, "delegation": self.delegation, "at": str(self.at)} | trace_context()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Somebody is there to announce revocations, and what he announces arrives."""

    type: ClassVar[str] = "heartbeat"

    at: int
    """When it was sent, in milliseconds since the epoch."""

    def to_fields(self) -> dict[str, str]:
        """Return the entry."""
        return {"type": self.type, "at": str(self.at)}


class Outcome(StrEnum):
    """What became of a call that a person has to agree to."""

    ASKED = "asked"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"
    """The call is carried out: what follows is the API's word."""


@dataclass(frozen=True, slots=True)
class ApprovalEvent:
    """One step of one approval. Says neither who the user is nor what the arguments were."""

    type: ClassVar[str] = "approval"

    approval: str
    outcome: Outcome
    tool: str
    client_id: str
    """The agent's."""
    by: str
    """The id of the client through which it came about: the agent again, or that of the approval page."""
    user: str
    """The user under a keyed name."""
    at: int
    """Seconds since the epoch."""

    def to_fields(self) -> dict[str, str]:
        """Return the entry, with the trace it belongs to."""
        return {
            "type": self.type,
            "approval": self.approval,
            "outcome": self.outcome.value,
            "tool": self.tool,
            "client_id": self.client_id,
            "by": self.by,
            "user": self.user,
            "at": str(self.at),
        } | trace_context()


DelegationEvent = DelegationRevoked | Heartbeat


def event_from_fields(fields: Mapping[bytes, bytes]) -> DelegationEvent | None:
    """Return the event of an entry, or `None` for one of a kind that is not known here.

    Raises:
        ValueError: a known kind, but malformed. What it was meant to say is lost.
    """
    match fields.get(b"type"):
        case b"revoked":
            delegation = fields.get(b"delegation", b"").decode("ascii")
            if not delegation:
                raise ValueError("a revocation without a delegation")
            return DelegationRevoked(delegation, _at(fields))
        case b"heartbeat":
            return Heartbeat(_at(fields))
        case _:
            return None


def _at(fields: Mapping[bytes, bytes]) -> int:
    return int(fields.get(b"at", b""))


def trace_context() -> dict[str, str]:
    """Return the header that ties an entry to the trace it was written in; none outside a trace."""
    carrier: dict[str, str] = {}
    inject(carrier)
    return {name: carrier[name] for name in ("traceparent",) if name in carrier}
