"""From a refusal to a response (RFC 6749 §5.2), in one place."""

import logging
import re

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from authcore.errors import InvalidRequest, OAuthError
from authcore.refusals import oauth_refusal
from token_broker.authorization_server import InteractionRequired
from token_broker.client_auth import OperatorUnknown

logger = logging.getLogger(__name__)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,19}")


def refusal(error: OAuthError, authorization: str | None) -> Response:
    """Return the response for a refused request.

    Args:
        error: why.
        authorization: the request's `Authorization` header. A client that tried to authenticate with it is
            answered in the same scheme (RFC 6749 §5.2).
    """
    if isinstance(error, OperatorUnknown):
        return oauth_refusal(error, authenticate='Bearer realm="token broker"')
    demand = error.demand if isinstance(error, InteractionRequired) else None
    if authorization is None:
        return oauth_refusal(error, demand=demand)
    scheme = _SCHEME.match(authorization)
    authenticate = f'{scheme[0] if scheme else "Basic"} realm="token broker"'
    return oauth_refusal(error, authenticate=authenticate, demand=demand)


def add_refusals(app: FastAPI) -> None:
    """Render and log every refusal."""

    @app.exception_handler(RequestValidationError)
    async def on_malformed_request(_: Request, error: RequestValidationError) -> Response:
        # Names only: a value would be the caller's own text in our answer.
        names = sorted({str(problem["loc"][-1]) for problem in error.errors()})
        return oauth_refusal(InvalidRequest(f"Not acceptable: {', '.join(names)}"))

    @app.exception_handler(OAuthError)
    async def on_oauth_error(request: Request, error: OAuthError) -> Response:
        level = logging.WARNING if error.status in (401, 503) else logging.INFO
        logger.log(level, "%s refused: %s", request.url.path, error)
        return refusal(error, request.headers.get("authorization"))
