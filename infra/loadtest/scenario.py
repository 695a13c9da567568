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
