"""`python -m mcp_gateway` serves the gateway."""

from authcore.service import load_settings, parse_no_arguments, serve
from mcp_gateway.app import create_app
from mcp_gateway.settings import Settings


def main() -> None:
    """Serve until told to stop."""
    parse_no_arguments("mcp_gateway", "The OAuth-secured MCP server in front of the APIs.", Settings)
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="mcp-gateway")


if __name__ == "__main__":
    main()
