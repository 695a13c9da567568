"""`python -m token_broker`: see `--help`."""

import signal
import sys


def main() -> int:
    """Run the command, and return its exit code."""
    # While nothing is done yet there is nothing to clean up: Ctrl-C ends at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from token_broker import command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    return command.run()


if __name__ == "__main__":
    sys.exit(main())
