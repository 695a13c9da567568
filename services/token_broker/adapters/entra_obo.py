"""Microsoft Entra's on-behalf-of flow: RFC 7523 §2.1 with the subject token itself as the assertion."""

from dataclasses import dataclass

from authcore.oauth2_types import GRANT_JWT_BEARER
from token_broker.adapters.token_request import TokenRequest, Wording, token_answer


@dataclass(frozen=True, slots=True)
class EntraOnBehalfOf:
    """The server sees the subject token, which must be addressed to the broker's own application."""

    wording: Wording

    def form(self, request: TokenRequest) -> dict[str, str]:
        """Return the parameters; the target is part of the scope."""
        return {
            "grant_type": GRANT_JWT_BEARER,
            "requested_token_use": "on_behalf_of",
            "assertion": request.subject_token,
            **self.wording.parameters(request),
        }

    def issued_token(self, body: bytes) -> str:
        """Return the access token. There is no `issued_token_type` outside RFC 8693.

        Raises:
            ValueError: not such an answer.
        """
        return token_answer(body).access_token
