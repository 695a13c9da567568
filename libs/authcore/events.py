"""What is announced on the stream of delegations, and how it stands in an entry.

Whoever reads must ignore what it does not know: newer replicas may announce more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from opentelemetry.propagate import inject

DELEGATIONS: Final = "delegations"
"""The stream's key. It is read by every replica on its own (no consumer group), see docs/adr/0004."""


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
        return {"type": self.type, "delegation": self.delegation, "at": str(self.at)} | _trace_context()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Somebody is there to announce revocations, and what he announces arrives."""

    type: ClassVar[str] = "heartbeat"

    at: int
    """When it was sent, in milliseconds since the epoch."""

    def to_fields(self) -> dict[str, str]:
        """Return the entry."""
        return {"type": self.type, "at": str(self.at)}


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


def _trace_context() -> dict[str, str]:
    carrier: dict[str, str] = {}
    inject(carrier)
    return {name: carrier[name] for name in ("traceparent",) if name in carrier}
