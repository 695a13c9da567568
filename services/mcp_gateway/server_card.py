"""What can be known of the server before connecting to it: its card, and the catalog that leads there.

Spec: MCP Server Cards (SEP-2127), Discovery. Neither lists tools: what there is depends on the token.
"""

from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from mcp.types.version import SUPPORTED_PROTOCOL_VERSIONS
from starlette.routing import Route

from mcp_gateway.public_document import public_document
from mcp_gateway.settings import Settings

CARD_SCHEMA: Final = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
CARD_TYPE: Final = "application/mcp-server-card+json"
CATALOG_TYPE: Final = "application/ai-catalog+json"
CATALOG_PATH: Final = "/.well-known/ai-catalog.json"
# The transport is as old as that; the SDK would speak one more.
VERSIONS: Final = tuple(revision for revision in SUPPORTED_PROTOCOL_VERSIONS if revision >= "2025-03-26")
SERVER: Final = "delegant"
DESCRIPTION: Final = "Stock prices and orders on behalf of the signed-in user, within what they agreed to"


def discovery_routes(settings: Settings) -> list[Route]:
    """Return the routes of card and catalog."""
    return [
        public_document(_path(settings), server_card(settings), media_type=CARD_TYPE),
        public_document(CATALOG_PATH, catalog(settings), media_type=CATALOG_TYPE),
    ]


def server_card(settings: Settings) -> dict[str, Any]:
    """Return who the server is and where; clients decide nothing by it, and no more is told than that."""
    return {
        "$schema": CARD_SCHEMA,
        "name": f"{_namespace(_host(settings))}/{SERVER}",
        "version": version("mcp-gateway"),
        "title": settings.resource_name,
        "description": DESCRIPTION,
        "remotes": [
            {
                "type": "streamable-http",
                "url": settings.resource,
                "supportedProtocolVersions": list(VERSIONS),
            }
        ],
    }


def catalog(settings: Settings) -> dict[str, Any]:
    """Return the catalog of a domain with this one server."""
    entry = {
        "identifier": f"urn:air:{_host(settings)}:mcp:{SERVER}",
        "type": CARD_TYPE,
        "url": settings.origin + _path(settings),
    }
    return {"specVersion": "1.0", "entries": [entry]}


def _path(settings: Settings) -> str:
    return settings.path.rstrip("/") + "/server-card"


def _host(settings: Settings) -> str:
    return urlsplit(settings.resource).hostname or ""


def _namespace(host: str) -> str:
    """Return the host in reverse, as names in registries begin; an address as it is, with dots for colons."""
    try:
        ip_address(host)
    except ValueError:
        return ".".join(reversed(host.split(".")))
    return host.replace(":", ".")
