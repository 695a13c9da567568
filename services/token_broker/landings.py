"""How the work of one replica ended, as the others hear of it. No landing holds a token."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from authcore.errors import (
    AccessDenied,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    OAuthError,
    TemporarilyUnavailable,
)

REMEMBERED: Final = 1024
"""Landings that are kept for waiters who are just about to ask for them."""

_ERRORS: Final[dict[str, type[OAuthError]]] = {
    str(kind.error): kind
    for kind in (AccessDenied, InvalidGrant, InvalidRequest, InvalidScope, InvalidTarget, InvalidToken)
}

_TELLABLE: Final = frozenset({*_ERRORS.values(), TemporarilyUnavailable})


@dataclass(frozen=True, slots=True)
class Landing:
    """The end of one flight: its result is in the store, or `error` says why there is none."""

    flight: str
    owner: str
    error: OAuthError | None = None
    finished: bool = True
    """Without: its owner gave up in the middle, and somebody else should try."""

    def to_fields(self) -> dict[str, str]:
        """Return the stream's entry."""
        fields = {"flight": self.flight, "owner": self.owner, "outcome": "kept"}
        if self.error is None and self.finished:
            return fields
        if self.error is None or type(self.error) not in _TELLABLE:
            # It says more than a landing can: whoever waits has to hear it for himself.
            return fields | {"outcome": "gone"}
        fields |= {"outcome": str(self.error.error), "description": self.error.description}
        if isinstance(self.error, TemporarilyUnavailable):
            fields["retry_after"] = str(self.error.retry_after_seconds)
        return fields

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> "Landing":
        """Return the landing of an entry. An outcome that is not known is one that cannot be waited for."""
        text = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
        flight, owner, outcome = text.get("flight", ""), text.get("owner", ""), text.get("outcome")
        description, reason = text.get("description", ""), "told by another replica"
        if outcome == "kept":
            return cls(flight, owner)
        if outcome == TemporarilyUnavailable.error:
            after = text.get("retry_after", "")
            seconds = int(after) if after.isascii() and after.isdigit() else 5
            error = TemporarilyUnavailable(description, retry_after_seconds=seconds, reason=reason)
            return cls(flight, owner, error)
        kind = _ERRORS.get(outcome or "")
        if kind is None:
            return cls(flight, owner, finished=False)
        return cls(flight, owner, kind(description, reason=reason))


class Landings:
    """Wakes whoever waits for a landing. Listens to the stream of flights."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], asyncio.Future[Landing | None]] = {}
        self._recent: OrderedDict[tuple[str, str], Landing] = OrderedDict()

    async def wait(self, flight: str, owner: str, *, seconds: float) -> Landing | None:
        """Return the landing of this owner's flight, or `None` when it is time to look again.

        At most one waits for each flight: within the process callers are one already.
        """
        key = (flight, owner)
        landed = self._recent.get(key)
        if landed is not None:
            return landed
        future = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(key, None)

    def on_entry(self, fields: Mapping[bytes, bytes]) -> None:
        """Wake the waiter, or remember the landing for one that is about to come."""
        landing = Landing.from_fields(fields)
        key = (landing.flight, landing.owner)
        self._recent[key] = landing
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        self._wake(key, landing)

    def on_gap(self) -> None:
        """Let everybody look again: their landings may have been missed."""
        for key in list(self._waiting):
            self._wake(key, None)

    def on_caught_up(self, at: float) -> None:
        """Nothing depends on it: nobody waits for a landing beyond its flight's deadline."""

    def _wake(self, key: tuple[str, str], landing: Landing | None) -> None:
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_result(landing)
