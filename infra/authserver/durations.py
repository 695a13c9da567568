"""Times in words, as the pages show them."""

from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def ago(seconds: int) -> str:
    """Return how long ago something was."""
    if seconds < _MINUTE:
        return "just now"
    return f"{_rounded(seconds)} ago"


def lasting(seconds: int) -> str:
    """Return how long something still lasts."""
    return "less than a minute" if seconds < _MINUTE else _rounded(seconds)


def _rounded(seconds: int) -> str:
    for size, unit in ((_DAY, "d"), (_HOUR, "h")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds // _MINUTE} min"
