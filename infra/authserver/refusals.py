"""From a refusal to a response, for every endpoint."""

import logging
import sqlite3

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from authcore.challenge import bearer_challenge
from authcore.errors import (
    InvalidToken,
    MissingCredentials,
    OAuthError,
    TemporarilyUnavailable,
    UseDPoPNonce,
)
from authcore.refusals import oauth_refusal
from authserver.client_auth import uses_basic
from authserver.dpop import next_nonce
from authserver.pages import PageError, page_error
from authserver.rate_limits import TooManyRequests
from authserver.state import server_of

logger = logging.getLogger(__name__)


def refusal(request: Request, error: OAuthError) -> Response:
    """Return the error response of RFC 6749 §5.2."""
    basic = 'Basic realm="authorization server", charset="UTF-8"'
    response = oauth_refusal(error, authenticate=basic if uses_basic(request) else None)
    if isinstance(error, MissingCredentials | InvalidToken):
        response.headers["www-authenticate"] = bearer_challenge(error)
    if isinstance(error, UseDPoPNonce):
        response.headers.update(next_nonce(server_of(request)))
    if isinstance(error, TooManyRequests):
        response.headers["retry-after"] = str(error.retry_after_seconds)
    return response


def add_refusals(app: FastAPI) -> None:
    """Render every refusal in one place."""

    @app.exception_handler(OAuthError)
    async def on_oauth_error(request: Request, error: OAuthError) -> Response:
        logger.info("%s refused: %s", request.url.path, error)
        return refusal(request, error)

    @app.exception_handler(PageError)
    async def on_page_error(request: Request, error: PageError) -> Response:
        return server_of(request).pages.error(error)

    @app.exception_handler(sqlite3.OperationalError)
    async def on_state_error(request: Request, error: sqlite3.OperationalError) -> Response:
        # The disk is full, or somebody else does not let go of the file: what was asked for was not done.
        logger.error("%s failed: the state file: %s", request.url.path, error.sqlite_errorname)
        unavailable = TemporarilyUnavailable("The state of this server cannot be read or written just now")
        if "text/html" not in request.headers.get("accept", ""):
            return refusal(request, unavailable)
        response = server_of(request).pages.error(page_error(unavailable))
        response.headers["retry-after"] = str(unavailable.retry_after_seconds)
        return response
