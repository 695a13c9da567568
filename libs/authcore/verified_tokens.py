"""Signatures that were verified need not be verified again: the token is the same, and so must its key be."""

import hashlib
from dataclasses import dataclass

from joserfc.jwk import Key

from authcore.claims import VerifiedToken

VERIFIED_TOKENS = 4096
"""How many a service remembers for each of its audiences: about two kilobytes each."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found when a token was verified in full."""

    kid: str | None
    alg: str
    key: Key
    """The very object: keys that were fetched anew verify anew."""
    token: VerifiedToken
    verified_at: int


class VerifiedTokens:
    """Remembers so many verifications of one validator, by the token's SHA-256. It holds no token."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: dict[bytes, Verification] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, token: str) -> Verification | None:
        """Return how the token was verified, if it was and that is not forgotten."""
        return self._known.get(_digest(token))

    def put(self, token: str, verification: Verification) -> None:
        """Remember it; what was remembered longest is forgotten where there is no place."""
        digest = _digest(token)
        self._known.pop(digest, None)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        self._known[digest] = verification

    def forget(self, token: str) -> None:
        """Let the token be verified again."""
        self._known.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
