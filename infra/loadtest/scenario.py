"""What a sub-command is made of."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that can be measured."""

    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Declares the options."""
    run: Callable[[argparse.Namespace], None]
    """Measures, and writes the result to standard output; raises `LoadError` or `ProcessError`."""


def positive(text: str) -> int:
    """Return the value of an option that counts something.

    Raises:
        argparse.ArgumentTypeError: it is not a whole number above 0.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return int(text)
