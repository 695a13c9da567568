"""What can be wrong with a request, by the names the RFCs give it.

    OAuthError
    ├── MissingCredentials       401, no code      RFC 6750 §3.1
    ├── InvalidToken             401               RFC 6750 §3.1
    │   ├── WrongAudience        401               RFC 6750 §3.1
    │   ├── WrongIssuer          401               RFC 6750 §3.1
    │   ├── UnknownKey           401               RFC 6750 §3.1
    │   └── BadSignature         401               RFC 6750 §3.1
    ├── InsufficientUserAuthentication 401         RFC 9470 §3
    │   └── InsufficientClaims   401               OIDC Core §5.5
    ├── InsufficientScope        403               RFC 6750 §3.1
    ├── InvalidDPoPProof         400, 401          RFC 9449 §5, §7.1
    │   └── UseDPoPNonce         400, 401          RFC 9449 §8, §9
    ├── InvalidRequest           400               RFC 6749 §5.2, RFC 6750 §3.1
    ├── InvalidClient            401               RFC 6749 §5.2
    ├── InvalidGrant             400               RFC 6749 §5.2
    ├── UnauthorizedClient       400               RFC 6749 §5.2
    ├── UnsupportedGrantType     400               RFC 6749 §5.2
    ├── InvalidScope             400               RFC 6749 §5.2
    ├── InvalidTarget            400               RFC 8707 §2
    ├── AccessDenied             400               RFC 6749 §4.1.2.1
    ├── InvalidRedirectUri       400               RFC 7591 §3.2.2
    ├── InvalidClientMetadata    400               RFC 7591 §3.2.2
    └── TemporarilyUnavailable   503 + Retry-After RFC 6749 §4.1.2.1

`description` goes to the caller. `reason` is for logs alone. Neither may ever hold a token.
"""

from typing import ClassVar

from authcore.authentication_demand import AuthenticationDemand


class OAuthError(Exception):
    """Base of all refusals. `str()` of one is safe to log."""

    error: ClassVar[str | None]
    status: ClassVar[int] = 400

    def __init__(self, description: str = "", *, reason: str = "") -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason or description

    def __str__(self) -> str:
        """Return the code and the internal reason."""
        return f"{self.error or 'no credentials'}: {self.reason}"


class MissingCredentials(OAuthError):
    """The request carried no credentials; the challenge then has no `error` (RFC 6750 §3.1)."""

    error = None
    status = 401


class InvalidToken(OAuthError):
    """The token is malformed, expired, revoked, for somebody else or otherwise not acceptable."""

    error = "invalid_token"
    status = 401


class WrongAudience(InvalidToken):
    """The issuer signed the token, but for somebody else (RFC 7519 §4.1.3)."""


class WrongIssuer(InvalidToken):
    """Signed with a key of the issuer that is trusted, in the name of another."""


class UnknownKey(InvalidToken):
    """The token is signed with a key, or an algorithm, that the issuer is not known to use."""


class BadSignature(InvalidToken):
    """The signature was not made by the key that the token names."""


class InsufficientUserAuthentication(OAuthError):
    """The token is good, but its user has to authenticate again, perhaps in another way."""

    error = "insufficient_user_authentication"
    status = 401

    def __init__(self, demand: AuthenticationDemand) -> None:
        super().__init__("The user must authenticate again")
        self.demand = demand


class InsufficientClaims(InsufficientUserAuthentication):
    """The same, said as a claims request."""

    error = "insufficient_claims"


class InsufficientScope(OAuthError):
    """The token is good but does not reach. `scope` holds all scopes of the operation, sorted."""

    error = "insufficient_scope"
    status = 403

    def __init__(self, description: str = "", *, scope: frozenset[str], reason: str = "") -> None:
        super().__init__(description, reason=reason)
        self.scope = tuple(sorted(scope))


class InvalidDPoPProof(OAuthError):
    """The proof of possession is missing, malformed, old, used, or of something else. Resources say 401."""

    error = "invalid_dpop_proof"


class UseDPoPNonce(InvalidDPoPProof):
    """The proof must carry the nonce that the answer brings in `DPoP-Nonce`."""

    error = "use_dpop_nonce"


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated, malformed or too long."""

    error = "invalid_request"


class InvalidClient(OAuthError):
    """Client authentication failed."""

    error = "invalid_client"
    status = 401


class InvalidGrant(OAuthError):
    """The code, assertion or subject token is invalid, expired, used or another client's."""

    error = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """The client is known but may not do this."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """The grant type is not offered."""

    error = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is unknown, malformed or wider than what may be granted."""

    error = "invalid_scope"


class InvalidTarget(OAuthError):
    """The audience or resource is unknown, or not one this caller may ask for."""

    error = "invalid_target"


class AccessDenied(OAuthError):
    """The user or a policy said no."""

    error = "access_denied"


class InvalidRedirectUri(OAuthError):
    """A redirect URI of a client's metadata is not acceptable."""

    error = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """A field of a client's metadata is not acceptable."""

    error = "invalid_client_metadata"


class TemporarilyUnavailable(OAuthError):
    """Somebody we depend on could not answer. Never a verdict on the caller's token."""

    error = "temporarily_unavailable"
    status = 503

    def __init__(self, description: str = "", *, retry_after_seconds: int = 5, reason: str = "") -> None:
        super().__init__(description, reason=reason)
        self.retry_after_seconds = retry_after_seconds
