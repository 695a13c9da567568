"""Who is calling: what the guard found out, for the rest of one request."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from authcore.bearer import PresentedToken
from authcore.claims import VerifiedToken
from authcore.errors import OAuthError

SCOPE_KEY: Final = "delegant.caller"


@dataclass(slots=True)
class Caller:
    """The verified token of one request, and the opaque one it came with."""

    token: VerifiedToken
    presented: PresentedToken
    """As the agent sent it: for the broker and for nobody else."""
    delegation: str | None = None
    """The name under which its delegation's end is announced, as soon as the broker has told us."""
    distrusted: bool = False
    """Set when the API has refused a token of ours for this caller: the next one is a new one."""
    refusal: OAuthError | None = None
    """Set while the request runs, when authorization fails after all: the guard then answers in HTTP."""


def caller_of(request: Request | None) -> Caller:
    """Return the caller of a request.

    Raises:
        LookupError: the request did not come through the guard.
    """
    caller: object = None if request is None else request.scope.get(SCOPE_KEY)
    if not isinstance(caller, Caller):
        raise LookupError("the request did not come through the guard")
    return caller
