"""`python -m stocks` serves the API."""

from authcore.service import load_settings, parse_no_arguments, serve
from stocks.app import create_app
from stocks.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    parse_no_arguments("stocks", "The protected stocks API.", Settings)
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="stocks")


if __name__ == "__main__":
    main()
