"""`python -m loadtest`: one sub-command for each thing that can be measured, each a module."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from loadtest import authserver, broker
from loadtest.connections import LoadError
from loadtest.processes import ProcessError
from loadtest.scenario import Scenario

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "authserver": authserver.SCENARIO,
    "broker": broker.SCENARIO,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status: 1 if a server failed or an answer was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description="Measures what a request costs, at the process that serves it. All traffic is loopback.",
    )
    commands = parser.add_subparsers(dest="scenario", metavar="SCENARIO", required=True)
    for name, scenario in SCENARIOS.items():
        scenario.add_arguments(
            commands.add_parser(name, help=scenario.summary, description=scenario.description)
        )
    given = parser.parse_args(arguments)
    try:
        SCENARIOS[given.scenario].run(given)
    except (LoadError, ProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
