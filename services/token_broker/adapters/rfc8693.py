"""Token exchange as RFC 8693 has it, the target named by `audience`."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from authcore.claims import format_scope
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One exchange: whose token, for whom, to do what."""

    subject_token: str = field(repr=False)
    audience: str
    scope: frozenset[str]


class _Answer(BaseModel):
    access_token: str
    issued_token_type: str
    token_type: str


def request_form(request: TokenRequest) -> dict[str, str]:
    """Return the parameters of the request to the token endpoint, client authentication aside.

    Spec: RFC 8693 §2.1.
    """
    return {
        "grant_type": GRANT_TOKEN_EXCHANGE,
        "subject_token": request.subject_token,
        "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
        "requested_token_type": TOKEN_TYPE_ACCESS_TOKEN,
        "audience": request.audience,
        "scope": format_scope(request.scope),
    }


def issued_token(body: bytes) -> str:
    """Return the access token of a successful answer. A refresh token beside it is dropped.

    Spec: RFC 8693 §2.2.1.

    Raises:
        ValueError: not such an answer.
    """
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError:
        # The cause would quote the body, and with it a token.
        raise ValueError("not a token response") from None
    if answer.issued_token_type not in (TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT):
        raise ValueError("not an access token")
    if answer.token_type.lower() != "bearer":
        raise ValueError("not a bearer token")
    return answer.access_token
