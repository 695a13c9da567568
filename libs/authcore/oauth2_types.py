"""Wire types of OAuth: names and documents as the RFCs spell them."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

GRANT_AUTHORIZATION_CODE: Final = "authorization_code"
GRANT_CLIENT_CREDENTIALS: Final = "client_credentials"
GRANT_REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105  a name
GRANT_TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  RFC 8693 §2.1
GRANT_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""RFC 7523 §2.1."""
TOKEN_TYPE_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  RFC 8693 §3
TOKEN_TYPE_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105  RFC 8693 §3
CLIENT_ASSERTION_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 §2.2."""

MEDIA_TYPE_JWT: Final = "application/jwt"
"""Asked of introspection, it gives the phantom token itself: a signed JWT, or 204 for an inactive token."""
MEDIA_TYPE_INTROSPECTION_JWT: Final = "application/token-introspection+jwt"
"""RFC 9701 §4."""

DELEGATION_TAG_HEADER: Final = "delegation-tag"
"""Beside every token the broker gives out: the name under which the end of its delegation is announced."""

NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}
"""On every response that could hold a token (RFC 6749 §5.1)."""


class WireModel(BaseModel):
    """Base of documents we send: what is not set is not sent."""

    model_config = ConfigDict(frozen=True)

    def document(self) -> dict[str, object]:
        """Return the JSON members that are set."""
        return self.model_dump(mode="json", exclude_none=True)


class ErrorResponse(WireModel):
    """RFC 6749 §5.2, with what may be demanded of the user (RFC 9470 §3, OIDC Core §5.5).

    Without credentials there is no error to name (RFC 6750 §3.1).
    """

    error: str | None
    error_description: str | None = None
    claims: str | None = None
    acr_values: str | None = None
    max_age: int | None = None


class TokenResponse(WireModel):
    """RFC 6749 §5.1, with `issued_token_type` of RFC 8693 §2.2.1."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"] = "Bearer"  # noqa: S105
    expires_in: int
    scope: str | None = None
    refresh_token: str | None = None
    issued_token_type: str | None = None


class ProtectedResourceMetadata(WireModel):
    """RFC 9728 §2. Identifiers are plain strings: URL types would rewrite them."""

    resource: str
    resource_name: str | None = None
    resource_documentation: str | None = None
    authorization_servers: list[str]
    scopes_supported: list[str]
    bearer_methods_supported: list[str] = ["header"]
    dpop_signing_alg_values_supported: list[str] | None = None
    dpop_bound_access_tokens_required: bool | None = None
    tls_client_certificate_bound_access_tokens: bool | None = None


class AuthorizationServerMetadata(WireModel):
    """RFC 8414 §2, with the members of RFC 7591, 7662, 9126, 9207 and Client ID Metadata Documents."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    registration_endpoint: str | None = None
    introspection_endpoint: str | None = None
    revocation_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    scopes_supported: list[str]
    response_types_supported: list[str]
    response_modes_supported: list[str] | None = None
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str] | None = None
    introspection_endpoint_auth_methods_supported: list[str] | None = None
    introspection_endpoint_auth_signing_alg_values_supported: list[str] | None = None
    code_challenge_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool | None = None
    client_id_metadata_document_supported: bool | None = None
    service_documentation: str | None = None
