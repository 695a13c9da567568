"""From a refusal to a response (RFC 6749 §5.2), in one place."""

import logging
import re

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from authcore.errors import InvalidClient, OAuthError, TemporarilyUnavailable
from authcore.oauth2_types import NO_STORE, ErrorResponse

logger = logging.getLogger(__name__)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,19}")


def refusal(error: OAuthError, authorization: str | None) -> Response:
    """Return the response for a refused request.

    Args:
        error: why.
        authorization: the request's `Authorization` header. A client that tried to authenticate with it is
            answered in the same scheme (RFC 6749 §5.2).
    """
    headers = dict(NO_STORE)
    if isinstance(error, TemporarilyUnavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
    if isinstance(error, InvalidClient) and authorization is not None:
        scheme = _SCHEME.match(authorization)
        headers["www-authenticate"] = f'{scheme[0] if scheme else "Basic"} realm="token broker"'
    document = ErrorResponse(
        error=error.error or "invalid_request", error_description=error.description or None
    )
    return JSONResponse(document.document(), error.status, headers=headers)


def add_refusals(app: FastAPI) -> None:
    """Render and log every refusal."""

    @app.exception_handler(OAuthError)
    async def on_oauth_error(request: Request, error: OAuthError) -> Response:
        level = logging.WARNING if error.status in (401, 503) else logging.INFO
        logger.log(level, "%s refused: %s", request.url.path, error)
        return refusal(error, request.headers.get("authorization"))
