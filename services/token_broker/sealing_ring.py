"""The ring of sealing keys over time: rotated in its file, read again by who runs (docs/adr/0029)."""

import asyncio
import logging
import secrets
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from authcore.clock import Clock
from authcore.key_ring import KEY_BYTES
from token_broker.sealing import Sealer, SealingKey, in_order, parse_keys

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""How often a replica looks whether the file has changed, and whether the time of a key has come."""


class RotationRefused(Exception):
    """The ring cannot be rotated now; the text says why."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotated ring."""

    keys: tuple[SealingKey, ...]
    """The new key first."""
    dropped: tuple[SealingKey, ...]


def rotate(keys: tuple[SealingKey, ...], *, now: int, delay_seconds: int, keep_seconds: int) -> Rotation:
    """Return the ring with a new key that seals after the delay, without keys that can open nothing any more.

    Args:
        keys: the ring so far.
        now: the time.
        delay_seconds: until when every replica will have read the new ring.
        keep_seconds: how long something sealed may live.

    Raises:
        RotationRefused: the last rotation is not over.
    """
    newest = max(keys, key=lambda key: key.seals_from)
    if newest.seals_from > now:
        raise RotationRefused(
            f"key {newest.id} seals only from {newest.seals_from}: rotate again when it has begun"
        )
    begun = _dated(keys, now)
    # A key's last seal was made before the next one began.
    over = [older for newer, older in pairwise(begun) if newer.seals_from + keep_seconds <= now]
    new = SealingKey(secrets.token_bytes(KEY_BYTES), now + delay_seconds)
    return Rotation((new, *(key for key in begun if key not in over)), tuple(over))


def written(keys: tuple[SealingKey, ...]) -> str:
    """Return the ring as it is kept in a file, a line for each key."""
    return "".join(f"{key}\n" for key in keys)


def _dated(keys: tuple[SealingKey, ...], now: int) -> list[SealingKey]:
    """Return the keys, the last to begin first.

    When an undated key took over from another one nobody knows. It may have been now: so it is dated.
    """
    dated = sorted((key for key in keys if key.seals_from), key=lambda key: -key.seals_from)
    undated = [key for key in keys if not key.seals_from]
    latest = min((key.seals_from for key in dated), default=now)
    return [*dated, *(replace(key, seals_from=latest) for key in undated[:-1]), *undated[-1:]]


class LivingRing:
    """Keeps a sealer on the ring of a file, or of a setting, as time goes by."""

    def __init__(self, text: str, path: Path | None, *, now: Clock) -> None:
        """Read the ring.

        Args:
            text: what the file held at the start.
            path: the file; `None` if the ring was given without one.
            now: the clock.

        Raises:
            ValueError: the text is not a ring.
        """
        self._text: str = text.strip()
        self._path = path
        self._problem = ""
        self._now = now
        self._keys = parse_keys(text)
        self._order = in_order(self._keys, now=now())
        self.sealer = Sealer(self._order)

    async def keep_current(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Use what is in the file now. What cannot be read, or is no ring, changes nothing."""
        if self._path is not None:
            await self._read(self._path)
        order = in_order(self._keys, now=self._now())
        if order != self._order:
            self._order = order
            self.sealer.use(order)
            logger.info("sealing keys: %d open, %s seals", len(order), self.sealer.sealing_id)

    async def _read(self, path: Path) -> None:
        try:
            text: str = (await asyncio.to_thread(_text_of, path)).strip()
        except (OSError, UnicodeDecodeError) as error:
            self._complain(f"cannot be read: {type(error).__name__}")
            return
        if text == self._text:
            return
        try:
            self._keys = parse_keys(text)
        except ValueError as error:
            self._complain(str(error))
            return
        self._text, self._problem = text, ""

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            logger.error("the file of sealing keys: %s; those read before stay in use", problem)
        self._problem = problem


def _text_of(path: Path) -> str:
    return path.read_text("utf-8")
