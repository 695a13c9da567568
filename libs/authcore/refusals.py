"""A refusal as OAuth's endpoints render it (RFC 6749 §5.2)."""

from dataclasses import asdict

from starlette.responses import JSONResponse

from authcore.authentication_demand import AuthenticationDemand
from authcore.errors import InvalidClient, OAuthError, TemporarilyUnavailable
from authcore.oauth2_types import NO_STORE, ErrorResponse


def oauth_refusal(
    error: OAuthError, *, authenticate: str | None = None, demand: AuthenticationDemand | None = None
) -> JSONResponse:
    """Return the JSON error response; nobody may store it, and 503 says when to come back.

    Args:
        error: why.
        authenticate: the `WWW-Authenticate` for a client that tried to authenticate with the `Authorization`
            header: it is answered in the same scheme. Only `invalid_client` uses it.
        demand: what the user must be asked for in the next authorization request.
    """
    headers = dict(NO_STORE)
    if isinstance(error, TemporarilyUnavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    if isinstance(error, InvalidClient) and authenticate is not None:
        headers["www-authenticate"] = authenticate
    document = ErrorResponse(
        error=error.error or "invalid_request",
        error_description=error.description or None,
        **({} if demand is None else asdict(demand)),
    )
    return JSONResponse(document.document(), error.status, headers=headers)
