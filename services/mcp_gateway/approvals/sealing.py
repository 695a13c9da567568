"""What leaves us and comes back, and what lies in Redis: sealed for one purpose and for a while.

AES-256-GCM with keys that all replicas share; the first of the ring seals, all open.
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from authcore.clock import Clock
from authcore.key_ring import base64url

MAX_SEALED_CHARACTERS: Final = 64 * 1024


class Sealer:
    """Seals documents. One that was sealed for another purpose, was altered or is over does not open."""

    def __init__(self, ring: tuple[bytes, ...], *, now: Clock) -> None:
        self._codec = AESGCMRequestStateCodec(ring)
        self._naming_key = hmac.digest(ring[0], b"delegant mcp_gateway v1: user", "sha256")
        self._now = now

    def seal(self, purpose: str, document: Mapping[str, Any], *, until: int) -> str:
        """Return the document, sealed; it opens before `until`, for this purpose."""
        payload = {"for": purpose, "until": until, "is": dict(document)}
        return self._codec.seal(json.dumps(payload, separators=(",", ":")).encode())

    def open(self, purpose: str, sealed: str) -> dict[str, Any] | None:
        """Return what was sealed, or `None` if it does not open."""
        if len(sealed) > MAX_SEALED_CHARACTERS:
            return None
        try:
            payload: dict[str, Any] = json.loads(self._codec.unseal(sealed))
        except InvalidRequestState:
            return None
        if payload["for"] != purpose or self._now() >= payload["until"]:
            return None
        return cast("dict[str, Any]", payload["is"])

    def name(self, user: str) -> str:
        """Return a name for a user that nobody without the ring can compute or compare."""
        return base64url(hmac.digest(self._naming_key, user.encode(), "sha256"))
