"""Nonces that no replica has to remember: each derives them from a shared key and the time (RFC 9449 §9)."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

from authcore.clock import Clock

PERIOD_SECONDS: Final = 120
"""How long one nonce is given out. It is accepted for as long again, so that nobody meets a change."""
MIN_KEY_LENGTH: Final = 32


class DerivedNonces:
    """The nonce of a period; without the key nobody knows the next one, so no proof can be made ahead."""

    def __init__(self, key: str, *, now: Clock) -> None:
        """Keep the key.

        Raises:
            ValueError: it is too short to be a secret.
        """
        if len(key) < MIN_KEY_LENGTH:
            raise ValueError(f"must have at least {MIN_KEY_LENGTH} characters")
        self._key = hashlib.sha256(b"delegant dpop nonce\0" + key.encode()).digest()
        self._now = now

    def current(self) -> str:
        """Return the nonce of this period."""
        return self._nonce(self._now() // PERIOD_SECONDS)

    def accepts(self, nonce: str) -> bool:
        """Tell whether it is of this period, the one before, or, clocks being what they are, the next."""
        period = self._now() // PERIOD_SECONDS
        given = nonce.encode("utf-8", "surrogatepass")
        return any(hmac.compare_digest(given, self._nonce(period + step).encode()) for step in (-1, 0, 1))

    def _nonce(self, period: int) -> str:
        digest = hmac.digest(self._key, period.to_bytes(8, "big"), "sha256")
        return urlsafe_b64encode(digest[:18]).decode()
