"""Tokens the authorization server has just called inactive: for a few seconds it is not asked again.

Asked only after Redis: as soon as any replica learns that a token is active, this memory has nothing to say.
"""

from collections import OrderedDict
from typing import Final

from authcore.clock import Clock
from token_broker.sealing import fingerprint

SECONDS: Final = 3
MAX_TOKENS: Final = 10_000


class InactiveTokens:
    """Knows tokens by their fingerprints; the oldest go first when there are too many."""

    def __init__(self, *, now: Clock, max_tokens: int = MAX_TOKENS) -> None:
        self._until: OrderedDict[str, int] = OrderedDict()
        self._now = now
        self._max_tokens = max_tokens

    def add(self, token: str) -> None:
        """Remember that the token was just called inactive."""
        key = fingerprint(token)
        self._until[key] = self._now() + SECONDS
        self._until.move_to_end(key)
        if len(self._until) > self._max_tokens:
            self._until.popitem(last=False)

    def holds(self, token: str) -> bool:
        """Tell whether the token was called inactive a moment ago."""
        key = fingerprint(token)
        until = self._until.get(key)
        if until is None:
            return False
        if self._now() < until:
            return True
        del self._until[key]
        return False
