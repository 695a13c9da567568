"""From a request to a verified token, and from a refusal to a response."""

from typing import Annotated, Any, Final, TypedDict, cast

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from authcore.bearer import bearer_token
from authcore.challenge import bearer_challenge
from authcore.claims import VerifiedToken
from authcore.clock import Clock
from authcore.errors import InsufficientScope, InvalidToken, OAuthError, TemporarilyUnavailable
from authcore.problems import problem_response
from authcore.validator import TokenValidator
from stocks import problems
from stocks.authorization import READ, Authorization, Trader
from stocks.price_book import PriceBook
from stocks.problems import Kind, Problem
from stocks.store import Store

MAX_INPUT_ERRORS: Final = 20


class State(TypedDict):
    """What the application's lifespan gives every request."""

    validator: TokenValidator
    authorization: Authorization
    store: Store
    price_book: PriceBook
    now: Clock


def state_of(request: Request) -> State:
    """Return what the lifespan gave."""
    return cast(State, request.state)


# The scheme is described in the OpenAPI document; what is read, and how strictly, is `bearer_token`'s.
_DESCRIBED = HTTPBearer(auto_error=False, bearerFormat="JWT", description="For this API, from the broker")


async def verified_token(request: Request, _: Annotated[object, Depends(_DESCRIBED)]) -> VerifiedToken:
    """Return the claims of the request's bearer token.

    Raises:
        OAuthError: no token, or one that is not for this API.
    """
    token = await state_of(request)["validator"].validate(bearer_token(request.scope["headers"]))
    if token.confirmation:
        # A bound token presented as a bearer token is a stolen one (RFC 9449 §7.2).
        raise InvalidToken("The token is bound to a key and cannot be used as a bearer token")
    return token


Token = Annotated[VerifiedToken, Depends(verified_token)]


async def _readable_region(request: Request, token: Token) -> str:
    return state_of(request)["authorization"].region_of_reader(token)


async def _owner(request: Request, token: Token) -> Trader:
    return state_of(request)["authorization"].owner(token)


async def _trader(request: Request, token: Token) -> Trader:
    return state_of(request)["authorization"].trader(token)


# Coroutines, or each would take a thread. They are asked before path, query and body are judged: who may
# not gets no lesson in what is valid.
Region = Annotated[str, Depends(_readable_region)]
Owner = Annotated[Trader, Depends(_owner)]
AllowedTrader = Annotated[Trader, Depends(_trader)]


def refusal(error: OAuthError) -> Response:
    """Return the response for a request that was refused (RFC 6750 §3.1, RFC 9457)."""
    if isinstance(error, TemporarilyUnavailable):
        detail = error.description or "The token could not be checked. Try again"
        return _response(
            Problem(problems.TEMPORARILY_UNAVAILABLE, detail, retry_after_seconds=error.retry_after_seconds)
        )
    challenge = {"www-authenticate": bearer_challenge(error, scope=(READ,))}
    kinds = {
        None: problems.UNAUTHORIZED,
        "invalid_token": problems.INVALID_TOKEN,
        "insufficient_scope": problems.INSUFFICIENT_SCOPE,
    }
    members = {"scope": " ".join(error.scope)} if isinstance(error, InsufficientScope) else {}
    kind = kinds.get(error.error, problems.INVALID_REQUEST)
    return _response(Problem(kind, error.description, members), challenge)


def _response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    headers = headers or {}
    if problem.retry_after_seconds is not None:
        headers["retry-after"] = str(problem.retry_after_seconds)
    kind = problem.kind
    return problem_response(
        kind.status, kind.uri, problem.detail, title=kind.title, members=problem.members, headers=headers
    )


def _invalid_input(error: RequestValidationError) -> Problem:
    """Say where the input is wrong and what is expected there, not what it was: it may be anything."""
    found = cast("list[dict[str, Any]]", error.errors())[:MAX_INPUT_ERRORS]
    errors = [{"at": _place(one["loc"]), "expected": one["msg"]} for one in found]
    detail = "; ".join(f"{one['at']}: {one['expected']}" for one in errors)
    return Problem(problems.INVALID_INPUT, detail, {"errors": errors})


def _place(path: tuple[object, ...]) -> str:
    # The name of a member that should not be there is the caller's: anything, half a character as well.
    return "/".join(str(part) for part in path)[:100].encode("ascii", "replace").decode("ascii")


def _of_status(error: HTTPException) -> Problem:
    kinds: dict[int, Kind] = {404: problems.UNKNOWN_PATH, 405: problems.METHOD_NOT_ALLOWED}
    kind = kinds.get(error.status_code, problems.INVALID_REQUEST)
    return Problem(kind, kind.title)


def add_refusals(app: FastAPI) -> None:
    """Render every refusal in one place."""

    @app.exception_handler(OAuthError)
    async def on_oauth_error(_: Request, error: OAuthError) -> Response:
        return refusal(error)

    @app.exception_handler(Problem)
    async def on_problem(_: Request, error: Problem) -> Response:
        return _response(error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid_input(_: Request, error: RequestValidationError) -> Response:
        return _response(_invalid_input(error))

    @app.exception_handler(HTTPException)
    async def on_http_error(_: Request, error: HTTPException) -> Response:
        return _response(_of_status(error), dict(error.headers or {}))
