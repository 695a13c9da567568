"""`python -m demo.client_metadata` is the web site of the agent's vendor: it says who the agent is.

The URL of the document is the agent's `client_id` (OAuth Client ID Metadata Document), so that no
authorization server has to register it.
"""

from typing import Final
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authcore.service import ServiceSettings, health_routes, load_settings, serve
from demo.agent_identity import NAME, REDIRECT_URI

FRESH_SECONDS: Final = 3600


class Settings(ServiceSettings):
    """`AGENT_*`."""

    model_config = SettingsConfigDict(env_prefix="AGENT_", frozen=True)

    client_id: str = Field(pattern=r"^https://[^/?#]+/", description="URL of the document")


def document(client_id: str) -> dict[str, object]:
    """Return what the agent says of itself."""
    return {
        "client_id": client_id,
        "client_name": NAME,
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "application_type": "native",
    }


def create_app(settings: Settings) -> Starlette:
    """Return the web site."""

    async def metadata(_: Request) -> Response:
        fresh = {"cache-control": f"public, max-age={FRESH_SECONDS}"}
        return JSONResponse(document(settings.client_id), headers=fresh)

    return Starlette(routes=[Route(urlsplit(settings.client_id).path, metadata), *health_routes({})])


def main() -> None:
    """Serve until told to stop."""
    settings = load_settings(Settings)
    serve(create_app(settings), settings, service_name="agent")


if __name__ == "__main__":
    main()
