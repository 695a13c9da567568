"""The one place that reads the clocks."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the current time as a NumericDate: whole seconds since 1970-01-01T00:00:00Z (RFC 7519 §2)."""

Milliseconds = Callable[[], int]
"""Returns the current time in milliseconds since 1970-01-01T00:00:00Z."""

Monotonic = Callable[[], float]
"""Returns seconds that only ever go forward, for measuring within one process."""

monotonic: Monotonic = time.monotonic


def system_clock() -> int:
    """Return the current time in whole seconds since the epoch."""
    return int(time.time())


def system_milliseconds() -> int:
    """Return the current time in whole milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
