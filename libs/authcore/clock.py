"""The one place that reads the wall clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the current time as a NumericDate: whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2)."""


def system_clock() -> int:
    """Return the current time in whole seconds since the epoch."""
    return int(time.time())
