"""Token exchange as RFC 8693 has it."""

from dataclasses import dataclass, field

from authcore.client_assertion import ClientAssertionSigner
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT
from token_broker.adapters.token_request import TokenRequest, Wording, token_answer


@dataclass(frozen=True, slots=True)
class ActorTokens:
    """The broker's own statements about who acts through it."""

    signer: ClientAssertionSigner = field(repr=False)
    audience: str

    def parameters(self, actor: str | None) -> dict[str, str]:
        """Return the parameters that name the actor (RFC 8693 §2.1)."""
        if actor is None:
            return {}
        token = self.signer.assertion(actor, self.audience)
        return {"actor_token": token, "actor_token_type": TOKEN_TYPE_JWT}


@dataclass(frozen=True, slots=True)
class Rfc8693:
    """The server sees the subject token and judges it itself."""

    wording: Wording
    actors: ActorTokens | None = None

    def form(self, request: TokenRequest) -> dict[str, str]:
        """Return the parameters (RFC 8693 §2.1)."""
        wanted = self.wording.exchange.requested_type_urn
        return {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": request.subject_token,
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            **({} if wanted is None else {"requested_token_type": wanted}),
            **({} if self.actors is None else self.actors.parameters(request.actor)),
            **self.wording.parameters(request),
        }

    def issued_token(self, body: bytes) -> str:
        """Return the access token (RFC 8693 §2.2.1).

        Raises:
            ValueError: not such an answer.
        """
        answer = token_answer(body)
        if answer.issued_token_type not in (TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT):
            raise ValueError("not an access token")
        return answer.access_token
