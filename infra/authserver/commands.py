"""`python -m authserver keys …`: acts on the state file, also while a server is using it."""

import asyncio
import sys

from authcore.clock import Clock
from authserver.key_rotation import RotationUnderWay, rotate_file
from authserver.settings import Settings


def rotate_keys(settings: Settings, now: Clock) -> int:
    """Rotate the signing keys, say what happens when, and return the exit status."""
    if not settings.state_path.exists():
        sys.stderr.write(f"{settings.state_path} does not exist: start the server once\n")
        return 1
    moment = now()
    try:
        signs_from = asyncio.run(
            rotate_file(
                settings.state_path, settings.signing_algorithm, moment, settings.key_publish_ahead_seconds
            )
        )
    except RotationUnderWay as under_way:
        sys.stderr.write(f"A rotation is under way: its key signs in {under_way.signs_from - moment} s\n")
        return 1
    sys.stdout.write(f"The next key signs in {signs_from - moment} s; another one is published\n")
    return 0
