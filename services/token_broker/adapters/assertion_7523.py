"""Authorization grant by our own assertion (RFC 7523 §2.1), for servers that cannot exchange tokens.

The server never sees the subject token: it believes what the broker signs, so the key can name any user. It
is therefore a key of its own, used for nothing else; the broker asks whether the subject token is active
directly before each assertion, whatever it remembers; and what the key may ask for is limited at the server.
"""

from dataclasses import dataclass, field

from authcore.client_assertion import ClientAssertionSigner
from authcore.oauth2_types import GRANT_JWT_BEARER
from token_broker.adapters.token_request import TokenRequest, Wording, token_answer


@dataclass(frozen=True, slots=True)
class OwnAssertion:
    """The broker vouches for the subject."""

    wording: Wording
    signer: ClientAssertionSigner = field(repr=False)
    audience: str

    def form(self, request: TokenRequest) -> dict[str, str]:
        """Return the parameters. The subject token is not among them."""
        return {
            "grant_type": GRANT_JWT_BEARER,
            "assertion": self.signer.assertion(request.subject, self.audience),
            **self.wording.parameters(request),
        }

    def issued_token(self, body: bytes) -> str:
        """Return the access token.

        Raises:
            ValueError: not such an answer.
        """
        return token_answer(body).access_token
