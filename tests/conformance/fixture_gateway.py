"""The gateway, guard and all, in front of the tools that the MCP conformance suite asks for. Never shipped.

`python -m tests.conformance.fixture_gateway` reads the settings of the gateway. It keeps sessions, as the
gateway does not: the suite's older half wants the server to ask the client something in the middle of a call.
"""

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from authcore.service import load_settings, serve
from mcp_gateway.app import create_app
from mcp_gateway.settings import Settings
from tests.conformance import fixture_content, fixture_inputs, fixture_resources


def fixture_sessions(*_: object) -> StreamableHTTPSessionManager:
    """The transport of a server with everything the suite may call."""
    server = fixture_content.Fixtures("conformance-fixtures", version="1")
    for part in (fixture_content, fixture_inputs, fixture_resources):
        part.add_to(server)
    # Makes the session manager; the application around it is not used: ours is.
    server.streamable_http_app()
    fixture_resources.add_legacy_methods(server.session_manager.app)
    return StreamableHTTPSessionManager(server.session_manager.app)


if __name__ == "__main__":
    settings = load_settings(Settings)
    serve(create_app(settings, serve=fixture_sessions), settings, service_name="fixture-gateway")
