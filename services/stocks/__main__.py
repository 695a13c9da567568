"""`python -m stocks` serves the API; `python -m stocks ticker` publishes prices."""

import sys

from authcore.service import load_settings, parse_no_arguments, serve
from stocks import ticker_command
from stocks.app import create_app
from stocks.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    if sys.argv[1:2] == [ticker_command.NAME]:
        ticker_command.main(sys.argv[2:])
        return
    parse_no_arguments("stocks", "The protected stocks API. `ticker --help` is about its prices.", Settings)
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="stocks")


if __name__ == "__main__":
    main()
