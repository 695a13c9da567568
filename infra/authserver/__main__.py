"""`python -m authserver` serves the development authorization server, or rotates its keys."""

import argparse
import sys
from typing import Final

from authcore.clock import system_clock
from authcore.service import load_settings, serve, settings_help
from authserver.app import create_app
from authserver.commands import rotate_keys
from authserver.settings import LOOPBACK_HOSTS, Settings

ACKNOWLEDGE: Final = "--i-know-this-is-a-dev-as"


def may_bind(host: str, *, acknowledged: bool) -> bool:
    """Tell whether to listen there: on loopback, or anywhere if the caller knows what this is."""
    return acknowledged or host in LOOPBACK_HOSTS


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m authserver",
        description="A development authorization server. Never for production: its one-time passwords are on "
        "a page that everybody can open.",
        epilog=settings_help(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        ACKNOWLEDGE,
        action="store_true",
        help="listen on an address other than loopback, where others could read the one-time passwords",
    )
    commands = parser.add_subparsers(dest="command", metavar="keys rotate")
    keys = commands.add_parser("keys", help="let the next signing key take over, also while a server runs")
    keys.add_argument("action", choices=["rotate"])
    arguments = parser.parse_args()
    acknowledged: bool = arguments.i_know_this_is_a_dev_as
    settings = load_settings(Settings)
    if arguments.command == "keys":
        raise SystemExit(rotate_keys(settings, system_clock))
    if not may_bind(settings.host, acknowledged=acknowledged):
        sys.stderr.write(
            f"AUTHSERVER_HOST {settings.host} is not loopback, and this is a development server. "
            f"If you know what you are doing: {ACKNOWLEDGE}\n"
        )
        raise SystemExit(2)
    serve(create_app(settings), settings, service_name="authserver")


if __name__ == "__main__":
    main()
