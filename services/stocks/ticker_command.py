"""`python -m stocks ticker` publishes prices."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from authcore.service import load_settings, serve, settings_help
from stocks.ticker_app import create_ticker
from stocks.ticker_settings import TickerSettings

NAME: Final = "ticker"


def main(arguments: Sequence[str]) -> None:
    """Publish until told to stop. What is given on the command line goes before the environment."""
    parser = argparse.ArgumentParser(
        prog=f"python -m stocks {NAME}",
        description="Publishes new prices to Redis Streams. Any number may run; one of them publishes.",
        epilog=settings_help(TickerSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--replay", metavar="FILE", help="as TICKER_REPLAY")
    parser.add_argument("--speed", metavar="FACTOR", help="as TICKER_SPEED")
    parser.add_argument("--updates-per-second", metavar="RATE", help="as TICKER_UPDATES_PER_SECOND")
    parser.add_argument("--seed", metavar="NUMBER", help="as TICKER_SEED")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    settings = load_settings(TickerSettings, **given)
    try:
        ticker = create_ticker(settings)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"TICKER_REPLAY: {error}\n")
        raise SystemExit(2) from None
    serve(ticker, settings, service_name=NAME)
