"""The end of a delegation, whoever brings it about, and how everybody comes to know."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Literal

from opentelemetry import metrics

from authcore.errors import TemporarilyUnavailable
from authcore.redis_client import BoundedRedis
from authcore.security_events import SecurityEventVerifier
from token_broker.announcements import Announcements
from token_broker.delegations import DelegationStore, tag_of
from token_broker.sealing import fingerprint

logger = logging.getLogger(__name__)

Reason = Literal["caller", "event", "operator", "unfinished"]

SEEN_SECONDS: Final = 24 * 3600
"""How long a pushed event is known by its `jti`. One that comes later does no harm: it is done again."""


class Revocation:
    """Ends delegations: in the store first, so that nothing is given out again, then for all who listen."""

    def __init__(
        self, store: DelegationStore, announcements: Announcements, *, heartbeat_seconds: float
    ) -> None:
        self._store = store
        self._announcements = announcements
        self._heartbeat_seconds = heartbeat_seconds
        self._revoked = metrics.get_meter("token_broker").create_counter(
            "delegant.delegations.revoked", description="Delegations that were revoked here"
        )

    async def revoke(self, tag: str, reason: Reason) -> None:
        """End a delegation; on return it is dead in the store and announced. Doing it again changes nothing.

        Raises:
            TemporarilyUnavailable: it may not have been done, or not announced. If it was begun it will be
                finished; the caller may as well do it again.
        """
        await self._announcements.intend(tag)
        await self._finish(tag, reason)

    async def keep_announcing(self) -> None:
        """Send heartbeats until cancelled, and finish the revocations of replicas that crashed."""
        silent = False
        while True:
            try:
                for tag in await self._announcements.beat():
                    logger.warning("a revocation was left unfinished: finishing it")
                    await self._finish(tag, "unfinished")
                silent = False
            except TemporarilyUnavailable as error:
                if not silent:
                    logger.warning("heartbeats cannot be sent: %s", error)
                silent = True
            await asyncio.sleep(self._heartbeat_seconds)

    async def _finish(self, tag: str, reason: Reason) -> None:
        dropped = await self._store.revoke(tag)
        await self._announcements.announce(tag)
        self._revoked.add(1, {"reason": reason})
        logger.info("a delegation was revoked: %s", reason)
        if dropped is not None and dropped.holder is not None:
            # It is revoked whether or not this succeeds; who lists it finds nothing and takes it off then.
            with suppress(TemporarilyUnavailable):
                await self._store.unlist(tag, dropped.holder)


class PushedEvents:
    """Acts upon security events of the authorization server (RFC 8935)."""

    def __init__(self, verifier: SecurityEventVerifier, revocation: Revocation, redis: BoundedRedis) -> None:
        self._verifier = verifier
        self._revocation = revocation
        self._redis = redis

    async def receive(self, token: str) -> None:
        """Return when the event was acted upon, now or before; then the sender may forget it.

        Raises:
            RefusedSet: it is not acceptable, and will not become so.
            TemporarilyUnavailable: it has to be sent again.
        """
        event = await self._verifier.verify(token)
        if event.revoked is None:
            logger.info("a security event of a kind that means nothing here")
            return
        seen = f"{{s:{fingerprint(event.jti)}}}"
        async with self._redis.use() as redis:
            if await redis.exists(seen):
                return
        await self._revocation.revoke(tag_of(event.revoked), "event")
        # Only now: had it been noted before, a crash in between would have lost the event for good.
        async with self._redis.use() as redis:
            await redis.set(seen, b"1", ex=SEEN_SECONDS)
