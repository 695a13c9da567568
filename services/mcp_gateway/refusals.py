"""What agents see of a refusal: status, challenge, when to come back (RFC 6750, RFC 9449, RFC 6585)."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mcp.types import INTERNAL_ERROR
from starlette.responses import JSONResponse, Response

from authcore.bearer import Scheme
from authcore.challenge import bearer_challenge, dpop_challenge
from authcore.dpop import ALGORITHMS, Nonces
from authcore.errors import (
    InsufficientUserAuthentication,
    InvalidDPoPProof,
    OAuthError,
    TemporarilyUnavailable,
)
from authcore.oauth2_types import NO_STORE, ErrorResponse
from mcp_gateway.limiter import TooManyRequests
from mcp_gateway.limits import Bucket
from mcp_gateway.policy import INITIAL_SCOPE


@dataclass(frozen=True, slots=True)
class Refusals:
    """Renders refusals for one resource."""

    resource_metadata: str
    dpop: bool = False
    """Whether tokens may be bound to DPoP keys here."""
    dpop_only: bool = False
    """Whether they must be."""
    nonces: Nonces | None = None

    def response(self, error: OAuthError, scheme: Scheme | None) -> Response:
        """Return the answer.

        Args:
            error: why.
            scheme: how the token was presented, as far as that is known.
        """
        if isinstance(error, TemporarilyUnavailable):
            document = ErrorResponse(
                error=error.error, error_description="The request could not be authorized. Try again"
            )
            headers = {"retry-after": str(error.retry_after_seconds)}
            return JSONResponse(document.document(), error.status, headers | NO_STORE)
        # RFC 6749 §5.2 has 400 for what a token endpoint says of a proof; a resource challenges.
        status = 401 if isinstance(error, InvalidDPoPProof) else error.status
        demanded = asdict(error.demand) if isinstance(error, InsufficientUserAuthentication) else {}
        document = ErrorResponse(error=error.error, error_description=error.description, **demanded)
        response = JSONResponse(document.document(), status, NO_STORE)
        for challenge in self._challenges(error, scheme):
            # A field for each: some clients read the first scheme of the first one only.
            response.headers.append("www-authenticate", challenge)
        nonce = self.fresh_nonce(scheme)
        if nonce is not None:
            response.headers["dpop-nonce"] = nonce
        return response

    def fresh_nonce(self, scheme: Scheme | None) -> str | None:
        """Return what the next proof of somebody who presents tokens like this should carry."""
        return self.nonces.current() if self.nonces is not None and scheme == "dpop" else None

    def _challenges(self, error: OAuthError, scheme: Scheme | None) -> list[str]:
        scope, metadata = INITIAL_SCOPE, self.resource_metadata
        bearer = bearer_challenge(error, scope=scope, resource_metadata=metadata)
        if not self.dpop:
            return [bearer]
        if self.dpop_only or scheme == "dpop":
            return [dpop_challenge(error, algorithms=ALGORITHMS, scope=scope, resource_metadata=metadata)]
        return [bearer, dpop_challenge(None, algorithms=ALGORITHMS)]


def too_late(message: Mapping[str, Any]) -> Response:
    """Return 504 for a call that was stopped at its deadline: nobody can say how far it had come."""
    given = message.get("id")
    error = {
        "code": INTERNAL_ERROR,
        "message": "The call took too long and was stopped. If it changes anything, look whether it has been "
        "done before you call again",
    }
    document = {"jsonrpc": "2.0", "id": given if isinstance(given, str | int) else None, "error": error}
    return JSONResponse(document, 504)


def rate_limit_headers(buckets: Iterable[Bucket], shown: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""
    policy = ", ".join(bucket.limit.policy for bucket in buckets)
    state = ", ".join(item for item in shown if item)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())] if policy else []


def too_many(error: TooManyRequests) -> Response:
    """Return 429 that names the limit (RFC 9457, with the type that the draft registers)."""
    seconds = str(error.retry_after_seconds)
    document = {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"The limit {error.limit.name} is used up. Try again in {seconds} s, and less often",
        "violated-policies": [error.limit.name],
    }
    headers = {
        "retry-after": seconds,
        "ratelimit-policy": error.limit.policy,
        "ratelimit": f'"{error.limit.name}";r=0;t={seconds}',
    }
    return JSONResponse(document, 429, headers, media_type="application/problem+json")
