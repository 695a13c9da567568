"""`python -m token_broker keys`: the ring of sealing keys, seen and rotated."""

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic_settings import BaseSettings, SettingsConfigDict

from authcore.clock import Clock, system_clock
from token_broker.sealing import SealingKey, in_order, parse_keys
from token_broker.sealing_ring import Rotation, RotationRefused, rotate, written

STANDARD: Final = "-"

ROTATE: Final = """\
Adds a new key to the ring, and drops those that can open nothing any more. The new key opens at once
and seals only after --delay-seconds: by then every replica must have read it, else some could not open
what others seal.

Replicas read the file again by themselves within seconds and need no restart: --delay-seconds has to cover
how long the file takes to reach them all. A mounted Kubernetes Secret takes up to two minutes. With the
ring in BROKER_SEALING_KEY instead of a file it is how long it takes to restart them all.

With `-` the ring is read from standard input and the new one written to standard output."""


class RingSettings(BaseSettings):
    """Where the ring is, if no file is named."""

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    sealing_key_file: Path | None = None


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="say what each key is good for",
        description="Says what each key is good for; shows none.",
    )
    rotation = actions.add_parser(
        "rotate",
        help="add a new key, drop those that are over",
        description=ROTATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for action in (listing, rotation):
        action.add_argument(
            "file", nargs="?", metavar="FILE", help="the ring; BROKER_SEALING_KEY_FILE if left out"
        )
    listing.set_defaults(run=list_keys)
    rotation.add_argument(
        "--delay-seconds",
        type=_seconds,
        default=300,
        metavar="N",
        help="until the new key seals (default: %(default)s)",
    )
    rotation.add_argument(
        "--keep-seconds",
        type=_seconds,
        default=30 * 24 * 3600,
        metavar="N",
        help="longest life of what a key has sealed: BROKER_TOMBSTONE_SECONDS (default: %(default)s)",
    )
    rotation.set_defaults(run=rotate_keys)


def list_keys(arguments: argparse.Namespace, *, now: Clock = system_clock) -> int:
    """Write what each key does, the one that seals first."""
    file = _file(arguments.file)
    keys = parse_keys(_read(file))
    by_octets = {key.octets: key for key in keys}
    for place, octets in enumerate(in_order(keys, now=now())):
        sys.stdout.write(f"{by_octets[octets].id}  {_role(by_octets[octets], place, now())}\n")
    return 0


def rotate_keys(arguments: argparse.Namespace, *, now: Clock = system_clock) -> int:
    """Rotate, and say what happens next."""
    file = _file(arguments.file)
    keys = parse_keys(_read(file))
    try:
        rotation = rotate(
            keys, now=now(), delay_seconds=arguments.delay_seconds, keep_seconds=arguments.keep_seconds
        )
    except RotationRefused as refusal:
        sys.stderr.write(f"not rotated: {refusal}\n")
        return 1
    if file is None:
        sys.stdout.write(written(rotation.keys))
    else:
        _replace(file, written(rotation.keys))
    sys.stderr.write(_next_steps(rotation, file))
    return 0


def _next_steps(rotation: Rotation, file: Path | None) -> str:
    new = rotation.keys[0]
    lines = [f"{new.id}  new: opens now, seals from {_moment(new.seals_from)}"]
    lines += [f"{key.id}  kept: opens what it has sealed" for key in rotation.keys[1:]]
    lines += [
        f"{key.id}  dropped: nothing that it has sealed can still be in use" for key in rotation.dropped
    ]
    where = "Put it where all replicas read it" if file is None else f"Written to {file}"
    lines.append(
        f"{where}; each logs `sealing keys: {len(rotation.keys)} open` when it has read it. "
        f"All must have by {_moment(new.seals_from)}."
    )
    return "\n".join(lines) + "\n"


def _role(key: SealingKey, place: int, now: int) -> str:
    if key.seals_from > now:
        return f"opens, seals from {_moment(key.seals_from)}"
    since = f" since {_moment(key.seals_from)}" if key.seals_from else ""
    return f"seals{since}" if place == 0 else "opens"


def _file(named: str | None) -> Path | None:
    """Return the file; `None` is standard input and output."""
    if named == STANDARD:
        return None
    file = RingSettings().sealing_key_file if named is None else Path(named)
    if file is None:
        raise ValueError("name the file of the ring, or set BROKER_SEALING_KEY_FILE")
    # The file itself: a link must not be replaced by what it leads to.
    return file.resolve()


def _read(file: Path | None) -> str:
    return sys.stdin.read() if file is None else file.read_text("utf-8")


def _replace(file: Path, content: str) -> None:
    """Put new content in the place of a file at once: who reads it meanwhile gets the old or the new."""
    before = file.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as new:
            os.fchmod(descriptor, before.st_mode & 0o777)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            new.write(content)
            new.flush()
            os.fsync(descriptor)
        os.replace(name, file)  # noqa: PTH105  a Path would say the same
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError("a whole number of seconds")
    return int(text)
