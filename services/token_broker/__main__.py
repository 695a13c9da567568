"""`python -m token_broker` serves the broker; `python -m token_broker profile check` tries a profile."""

import sys

from authcore.service import load_settings, parse_no_arguments, serve
from token_broker.app import create_app
from token_broker.profile_command import profile_command
from token_broker.settings import Settings

DESCRIPTION = "The token broker. `profile check --help` tells how to try a profile on a live server."


def main() -> None:
    """Serve until told to stop, or do what the arguments say."""
    if sys.argv[1:2] == ["profile"]:
        raise SystemExit(profile_command(sys.argv[2:]))
    parse_no_arguments("token_broker", DESCRIPTION, Settings)
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="token-broker")


if __name__ == "__main__":
    main()
