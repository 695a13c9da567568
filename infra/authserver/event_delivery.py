"""Telling others that a delegation ended: Security Event Tokens (RFC 8417), pushed (RFC 8935).

The event is `session-revoked` of the Continuous Access Evaluation Profile.
"""

import asyncio
import json
import logging
import secrets
from dataclasses import dataclass
from typing import Final, cast

import httpx

from authcore.clock import Clock
from authcore.errors import TemporarilyUnavailable
from authcore.http_client import BoundedResponse, send_bounded
from authserver.event_outbox import BATCH, Announcement, EventOutbox
from authserver.keys import SigningKeys
from authserver.settings import ReceiverSettings

logger = logging.getLogger(__name__)

SECURITY_EVENT_TOKEN: Final = "secevent+jwt"  # noqa: S105  a media type (RFC 8417 §2.3)
SESSION_REVOKED: Final = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
TIMEOUT_SECONDS: Final = 5
MAX_ANSWER_BYTES: Final = 16 * 1024

_AT_ONCE: Final = 8
_FOR_GOOD: Final = frozenset({"invalid_request", "invalid_issuer", "invalid_audience", "access_denied"})
"""RFC 8935 §2.4. Not `invalid_key`: a receiver may not have fetched our newest key yet."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to leave a receiver alone that could not take an event."""

    first_seconds: float = 1
    most_seconds: float = 60

    def delay(self, failures: int) -> float:
        """Return the wait after so many failures in a row: doubled each time, less a random part."""
        longest = min(self.most_seconds, self.first_seconds * 2 ** min(failures - 1, 16))
        return longest * secrets.SystemRandom().uniform(0.5, 1)


class EventDelivery:
    """Delivers what the outbox holds for one receiver, as often as it takes.

    An event that nobody takes is swept away when the last token it speaks of has expired.
    """

    def __init__(
        self,
        receiver: ReceiverSettings,
        outbox: EventOutbox,
        keys: SigningKeys,
        client: httpx.AsyncClient,
        *,
        issuer: str,
        now: Clock,
        backoff: Backoff,
    ) -> None:
        self._receiver = receiver
        self._outbox = outbox
        self._keys = keys
        self._client = client
        self._issuer = issuer
        self._now = now
        self._backoff = backoff
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Deliver until cancelled. Something new is tried at once, whatever failed before."""
        failures = 0
        while True:
            waiting = await self._outbox.waiting(self._receiver.url)
            settled = await asyncio.gather(*map(self._deliver, waiting))
            if all(settled):
                failures = 0
                if len(waiting) < BATCH:
                    await self._outbox.news(self._receiver.url, None)
            else:
                failures += 1
                await self._outbox.news(self._receiver.url, self._backoff.delay(failures))

    async def _deliver(self, announcement: Announcement) -> bool:
        async with self._slots:
            try:
                answer = await self._push(announcement)
            except TemporarilyUnavailable as error:
                logger.warning("event receiver %s: %s", self._receiver.url, error)
                return False
        if 200 <= answer.status < 300:
            await self._outbox.settle(announcement)
            return True
        code = _error_code(answer)
        logger.warning("event receiver %s answered %d %s", self._receiver.url, answer.status, code)
        if answer.status == 400 and code in _FOR_GOOD:
            # RFC 8935 §2.3: what was refused once is refused every time.
            await self._outbox.settle(announcement)
            return True
        return False

    async def _push(self, announcement: Announcement) -> BoundedResponse:
        token = self._keys.sign(self._claims(announcement), token_type=SECURITY_EVENT_TOKEN)
        request = self._client.build_request(
            "POST",
            self._receiver.url,
            content=token,
            headers={"content-type": f"application/{SECURITY_EVENT_TOKEN}", "accept": "application/json"},
        )
        return await send_bounded(self._client, request, max_bytes=MAX_ANSWER_BYTES)

    def _claims(self, announcement: Announcement) -> dict[str, object]:
        # RFC 8417 §4.1: no `sub` and no `exp`, so that this can never pass for an access token.
        return {
            "iss": self._issuer,
            "aud": self._receiver.audience,
            "iat": self._now(),
            "jti": announcement.event_id,
            "sub_id": {"format": "opaque", "id": announcement.delegation_id},
            "events": {
                SESSION_REVOKED: {
                    "event_timestamp": announcement.happened_at,
                    "initiating_entity": announcement.cause.initiator,
                    "reason_admin": {"en": announcement.cause.reason},
                }
            },
        }


def _error_code(answer: BoundedResponse) -> str:
    try:
        parsed: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    code = cast("dict[str, object]", parsed).get("err") if isinstance(parsed, dict) else None
    return code if isinstance(code, str) and code.isidentifier() and len(code) <= 40 else ""
