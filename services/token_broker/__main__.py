"""`python -m token_broker` serves the broker."""

from authcore.service import load_settings, parse_no_arguments, serve
from token_broker.app import create_app
from token_broker.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    parse_no_arguments("token_broker", "The token broker.", Settings)
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="token-broker")


if __name__ == "__main__":
    main()
