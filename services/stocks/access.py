"""From a request to a verified token, and from a refusal to a response."""

from typing import Final, TypedDict, cast

from fastapi import FastAPI, Request, Response

from authcore.bearer import bearer_token
from authcore.challenge import bearer_challenge
from authcore.claims import VerifiedToken
from authcore.errors import InvalidToken, OAuthError, TemporarilyUnavailable
from authcore.problems import problem_response
from authcore.validator import TokenValidator
from stocks.authorization import READ, ContextMissing

PROBLEM: Final = "urn:delegant:problem:"


class State(TypedDict):
    """What the application's lifespan gives every request."""

    validator: TokenValidator


async def verified_token(request: Request) -> VerifiedToken:
    """Return the claims of the request's bearer token.

    Raises:
        OAuthError: no token, or one that is not for this API.
    """
    validator = cast(TokenValidator, request.state.validator)
    token = await validator.validate(bearer_token(request.scope["headers"]))
    if token.confirmation:
        # A bound token presented as a bearer token is a stolen one (RFC 9449 §7.2).
        raise InvalidToken("The token is bound to a key and cannot be used as a bearer token")
    return token


def refusal(error: OAuthError) -> Response:
    """Return the response for a request that was refused (RFC 6750 §3.1, RFC 9457)."""
    headers: dict[str, str] = {}
    if isinstance(error, TemporarilyUnavailable):
        headers["retry-after"] = str(error.retry_after_seconds)
        detail = "The token could not be checked. Try again"
    else:
        headers["www-authenticate"] = bearer_challenge(error, scope=(READ,))
        detail = error.description
    kind = (error.error or "unauthorized").replace("_", "-")
    return problem_response(error.status, PROBLEM + kind, detail, headers=headers)


def context_missing(error: ContextMissing) -> Response:
    """Return 403 naming the claims the token lacks."""
    return problem_response(403, PROBLEM + "context-missing", f"The token lacks: {error}")


def add_refusals(app: FastAPI) -> None:
    """Render every refusal in one place."""

    @app.exception_handler(OAuthError)
    async def on_oauth_error(_: Request, error: OAuthError) -> Response:
        return refusal(error)

    @app.exception_handler(ContextMissing)
    async def on_context_missing(_: Request, error: ContextMissing) -> Response:
        return context_missing(error)
