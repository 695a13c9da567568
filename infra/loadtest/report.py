"""What was measured, for people and for programs."""

import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from loadtest.yardstick import verification_microseconds

PACKAGES: Final = ("uvicorn", "fastapi", "starlette", "joserfc", "cryptography")


@dataclass(frozen=True, slots=True)
class Round:
    """One run of one kind of request."""

    requests: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """All rounds of one kind of request. The figures are medians, as other programs disturb single rounds."""

    name: str
    rounds: tuple[Round, ...]

    @property
    def requests_per_second(self) -> float:
        """By the clock on the wall."""
        return statistics.median(each.requests / each.seconds for each in self.rounds)

    @property
    def cpu_milliseconds(self) -> float:
        """Of the server process, for each request."""
        return statistics.median(1000 * each.cpu_seconds / each.requests for each in self.rounds)

    @property
    def requests_per_core_second(self) -> float:
        """What one core could serve that does nothing else."""
        return 1000 / self.cpu_milliseconds


def as_json(measurements: Sequence[Measurement]) -> str:
    """Return everything; the first measurement is the floor."""
    floor = measurements[0].cpu_milliseconds
    document = {
        "machine": machine(),
        "measurements": [
            {
                "name": each.name,
                "requests": sum(each.requests for each in each.rounds),
                "rounds": len(each.rounds),
                "requests_per_second": round(each.requests_per_second, 1),
                "cpu_milliseconds_per_request": round(each.cpu_milliseconds, 4),
                "requests_per_core_second": round(each.requests_per_core_second, 1),
                "times_floor": round(each.cpu_milliseconds / floor, 2),
            }
            for each in measurements
        ],
    }
    return json.dumps(document, indent=2)


def as_table(measurements: Sequence[Measurement]) -> str:
    """Return a Markdown table; the first measurement is the floor."""
    floor = measurements[0].cpu_milliseconds
    lines = [
        "| request | requests/s | CPU ms/request | requests/s a core | times floor |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {each.name} | {each.requests_per_second:,.0f} | {each.cpu_milliseconds:.3f}"
            f" | {each.requests_per_core_second:,.0f} | {each.cpu_milliseconds / floor:.1f} |"
            for each in measurements
        ),
        "",
        ", ".join(f"{name} {value}" for name, value in machine().items()),
    ]
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Return what the figures depend on besides the code."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "one ES256 verification": f"{verification_microseconds():.0f} µs",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  a kernel table
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
