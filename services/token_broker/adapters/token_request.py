"""What is asked of an authorization server, whatever its dialect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel, ValidationError

from authcore.claims import format_scope
from token_broker.profiles import ExchangeTable, Target


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One exchange: whose token, who that is, for whom, to do what, and who will use it if that is said."""

    subject_token: str = field(repr=False)
    audience: str
    scope: frozenset[str]
    subject: str
    actor: str | None = None


class Adapter(Protocol):
    """One dialect of the token endpoint."""

    def form(self, request: TokenRequest) -> dict[str, str]:
        """Return the parameters of the request, client authentication aside."""
        ...

    def issued_token(self, body: bytes) -> str:
        """Return the access token of a successful answer, or raise `ValueError`."""
        ...


@dataclass(frozen=True, slots=True)
class Wording:
    """How target and scope are said (RFC 8693 §2.1, RFC 8707 §2)."""

    exchange: ExchangeTable
    target: Callable[[str], Target]

    def parameters(self, request: TokenRequest) -> dict[str, str]:
        """Return the parameters that name target and scope."""
        value = self.target(request.audience).value
        named = {} if self.exchange.target == "scope" else {self.exchange.target: value}
        match self.exchange.scope:
            case "send":
                return named | {"scope": format_scope(request.scope)}
            case "in_target":
                return named | {"scope": " ".join(f"{value}/{scope}" for scope in sorted(request.scope))}
            case "default":
                return named | {"scope": f"{value}/.default"}
            case "none":
                return named


class TokenAnswer(BaseModel):
    """A successful answer (RFC 6749 §5.1). Refresh and id tokens beside the access token are dropped."""

    access_token: str
    token_type: str
    issued_token_type: str | None = None


def token_answer(body: bytes) -> TokenAnswer:
    """Return the answer.

    Raises:
        ValueError: not such an answer, or not a bearer token.
    """
    try:
        answer = TokenAnswer.model_validate_json(body)
    except ValidationError:
        # The cause would quote the body, and with it a token.
        raise ValueError("not a token response") from None
    if answer.token_type.lower() != "bearer":
        raise ValueError("not a bearer token")
    return answer
