"""`python -m demo`: the whole system on one machine, and an agent that goes the whole way."""

import signal
import sys


def main() -> None:
    """Run the command."""
    # As long as nothing is started there is nothing to clean up: end at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from demo import command

    sys.exit(command.main())


if __name__ == "__main__":
    main()
