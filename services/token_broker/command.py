"""`python -m token_broker`: serves, or does what an operator needs."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from authcore.service import load_settings, serve, settings_help
from token_broker.app import create_app
from token_broker.delegations_command import add_delegations
from token_broker.keys_command import add_keys
from token_broker.profile_command import add_profile
from token_broker.settings import Settings

INTERRUPTED: Final = 130

DESCRIPTION: Final = "The token broker. Without a command it serves."
EXIT_CODES: Final = (
    "exit codes: 0 done, 1 refused or not possible, 2 wrong arguments or settings, 130 interrupted"
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say, and return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read what we write has read enough; Python must not complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    help_format = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m token_broker",
        description=DESCRIPTION,
        epilog=f"{EXIT_CODES}\n\n{settings_help(Settings)}",
        formatter_class=help_format,
    )
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(metavar="COMMAND")
    serving = commands.add_parser(
        "serve", help="serve (the default)", epilog=settings_help(Settings), formatter_class=help_format
    )
    serving.set_defaults(run=_serve)
    add_delegations(commands.add_parser("delegations", help="list, show or revoke delegations"))
    add_keys(commands.add_parser("keys", help="see or rotate the sealing keys"))
    add_profile(commands.add_parser("profile", help="try a profile on a live authorization server"))
    return parser


def _serve(_: argparse.Namespace) -> int:
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="token-broker")
    return 0
