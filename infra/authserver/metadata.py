"""What this server says of itself: metadata (RFC 8414) and keys (RFC 7517)."""

from typing import Final, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore import dpop
from authcore.oauth2_types import (
    GRANT_AUTHORIZATION_CODE,
    GRANT_CLIENT_CREDENTIALS,
    GRANT_JWT_BEARER,
    GRANT_REFRESH_TOKEN,
    GRANT_TOKEN_EXCHANGE,
    AuthorizationServerMetadata,
)
from authserver import endpoints
from authserver.endpoints import Endpoints
from authserver.policy import Policy
from authserver.settings import AuthMethod, Settings
from authserver.state import server_of

ID_JAG: Final = "urn:ietf:params:oauth:grant-profile:id-jag"
ASSERTION_ALGORITHMS: Final = ["ES256", "PS256", "RS256"]


class Metadata(AuthorizationServerMetadata):
    """With members of RFC 8414 §2, RFC 9126 §5, RFC 9449 §5.1 and RFC 9701 §7 that only this server has."""

    revocation_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_signing_alg_values_supported: list[str]
    require_pushed_authorization_requests: bool
    dpop_signing_alg_values_supported: list[str]
    authorization_grant_profiles_supported: list[str] | None
    """Of enterprise-managed authorization."""
    introspection_signing_alg_values_supported: list[str]


def offered_grants(policy: Policy, settings: Settings) -> list[str]:
    """Return the grant types of the token endpoint. Refresh tokens are policy's to offer."""
    trusting = [] if settings.identity_provider is None else [GRANT_JWT_BEARER]
    refreshing = policy.agent_grant_types & {GRANT_REFRESH_TOKEN}
    return [GRANT_AUTHORIZATION_CODE, GRANT_CLIENT_CREDENTIALS, *trusting, *refreshing, GRANT_TOKEN_EXCHANGE]


def server_metadata(where: Endpoints, policy: Policy, settings: Settings) -> Metadata:
    """Return the document. It names nothing that does not work."""
    methods = list(get_args(AuthMethod))
    return Metadata(
        issuer=where.issuer,
        authorization_endpoint=where.url(endpoints.AUTHORIZE),
        token_endpoint=where.url(endpoints.TOKEN),
        jwks_uri=where.url(endpoints.JWKS),
        registration_endpoint=where.url(endpoints.REGISTER),
        introspection_endpoint=where.url(endpoints.INTROSPECT),
        revocation_endpoint=where.url(endpoints.REVOKE),
        revocation_endpoint_auth_methods_supported=methods,
        revocation_endpoint_auth_signing_alg_values_supported=ASSERTION_ALGORITHMS,
        pushed_authorization_request_endpoint=where.url(endpoints.PUSH),
        require_pushed_authorization_requests=settings.require_pushed_authorization_requests,
        authorization_grant_profiles_supported=None if settings.identity_provider is None else [ID_JAG],
        dpop_signing_alg_values_supported=list(dpop.ALGORITHMS),
        scopes_supported=sorted(policy.scopes),
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=offered_grants(policy, settings),
        token_endpoint_auth_methods_supported=methods,
        token_endpoint_auth_signing_alg_values_supported=ASSERTION_ALGORITHMS,
        introspection_endpoint_auth_methods_supported=[method for method in methods if method != "none"],
        introspection_endpoint_auth_signing_alg_values_supported=ASSERTION_ALGORITHMS,
        introspection_signing_alg_values_supported=[settings.signing_algorithm],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        client_id_metadata_document_supported=True,
    )


async def metadata(request: Request) -> Response:
    """Answer at every well-known path."""
    server = server_of(request)
    return JSONResponse(server_metadata(server.where, server.policy, server.settings).document())


async def jwks(request: Request) -> Response:
    """Answer with the public keys."""
    return JSONResponse(
        server_of(request).keys.jwks(),
        media_type="application/jwk-set+json",
        headers={"cache-control": "public, max-age=60"},
    )
