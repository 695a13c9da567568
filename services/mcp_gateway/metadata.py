"""Protected resource metadata (RFC 9728): where an agent learns whom to ask for a token."""

from starlette.routing import Route

from authcore.dpop import ALGORITHMS
from authcore.oauth2_types import ProtectedResourceMetadata
from mcp_gateway.policy import SCOPES_SUPPORTED
from mcp_gateway.public_document import public_document
from mcp_gateway.settings import Settings

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def metadata_url(settings: Settings) -> str:
    """Return the URL that challenges point to: well-known, with the resource's path (RFC 9728 §3.1)."""
    return settings.origin + WELL_KNOWN + settings.path.rstrip("/")


def metadata_routes(settings: Settings) -> list[Route]:
    """Return the document's routes: with the resource's path, and at the root where some clients look.

    No token is needed, and any web page may read it.
    """
    document = ProtectedResourceMetadata(
        resource=settings.resource,
        resource_name=settings.resource_name,
        authorization_servers=[settings.issuer],
        scopes_supported=list(SCOPES_SUPPORTED),
        dpop_signing_alg_values_supported=list(ALGORITHMS) if settings.redis_url.get_secret_value() else None,
        dpop_bound_access_tokens_required=settings.dpop_required or None,
        tls_client_certificate_bound_access_tokens=bool(settings.trusted_proxies) or None,
    ).document()
    paths = dict.fromkeys((WELL_KNOWN + settings.path.rstrip("/"), WELL_KNOWN))
    return [public_document(path, document) for path in paths]
