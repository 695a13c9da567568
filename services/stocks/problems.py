"""Every way in which this API says no, each with a name that stays (RFC 9457 §3.1.1, docs/problems.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

PREFIX: Final = "urn:delegant:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. Its title is the same for all requests that meet it."""

    name: str
    status: int
    title: str

    @property
    def uri(self) -> str:
        """The `type` that clients compare."""
        return PREFIX + self.name


UNAUTHORIZED: Final = Kind("unauthorized", 401, "A bearer token is required")
INVALID_TOKEN: Final = Kind("invalid-token", 401, "The token is not acceptable")
INSUFFICIENT_SCOPE: Final = Kind("insufficient-scope", 403, "The token does not reach this operation")
CONTEXT_MISSING: Final = Kind("context-missing", 403, "The token lacks claims that decide here")
ACTOR_NOT_ALLOWED: Final = Kind("actor-not-allowed", 403, "Whoever acts with this token may not act here")
ASSURANCE_TOO_LOW: Final = Kind("assurance-too-low", 403, "The agent has not proven enough about itself")
ORDER_LIMIT_EXCEEDED: Final = Kind("order-limit-exceeded", 403, "The order is worth more than an agent may")
UNKNOWN_STOCK: Final = Kind("unknown-stock", 404, "The region of the user lists no such stock")
UNKNOWN_ORDER: Final = Kind("unknown-order", 404, "The user has no such order")
UNKNOWN_PATH: Final = Kind("unknown-path", 404, "There is nothing at this path")
METHOD_NOT_ALLOWED: Final = Kind("method-not-allowed", 405, "The resource does not know this method")
INVALID_REQUEST: Final = Kind("invalid-request", 400, "The request cannot be read")
IDEMPOTENCY_KEY_REQUIRED: Final = Kind("idempotency-key-required", 400, "One Idempotency-Key is required")
IDEMPOTENCY_KEY_IN_USE: Final = Kind("idempotency-key-in-use", 409, "The same order is being placed")
IDEMPOTENCY_KEY_REUSED: Final = Kind("idempotency-key-reused", 422, "The key stands for another order")
INVALID_INPUT: Final = Kind("invalid-input", 422, "The request does not have the described form")
TEMPORARILY_UNAVAILABLE: Final = Kind("temporarily-unavailable", 503, "It could not be decided")

KINDS: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Kind))


class Problem(Exception):
    """A request that was understood and refused. `detail` says what would help; it never holds a token."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        members: Mapping[str, object] | None = None,
        *,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(kind.name)
        self.kind = kind
        self.detail = detail
        self.members = members or {}
        self.retry_after_seconds = retry_after_seconds


class ProblemDocument(BaseModel):
    """RFC 9457 §3.1. Some kinds have further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


def described(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Return the responses of these kinds as an operation of the OpenAPI document lists them."""
    schema = ProblemDocument.model_json_schema()
    return {
        status: {
            "description": ", ".join(f"`{kind.name}`" for kind in kinds if kind.status == status),
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in sorted({kind.status for kind in kinds})
    }
