"""From a presented token to a verified one, whatever form it has."""

from dataclasses import dataclass

from starlette.types import Scope

from authcore.bearer import PresentedToken
from authcore.claims import VerifiedToken
from authcore.delegation_feed import DelegationFeed
from authcore.errors import InvalidToken
from authcore.single_flight import SingleFlight
from authcore.validator import TokenValidator, is_compact_jws
from mcp_gateway.broker import Answer, Broker, fingerprint
from mcp_gateway.caller import Caller
from mcp_gateway.memory import TokenMemory
from mcp_gateway.possession import Possession
from mcp_gateway.strangers import Strangers


@dataclass(frozen=True, slots=True)
class Known:
    """A verified token and its delegation, if the broker named it."""

    token: VerifiedToken
    delegation: str | None


class Authenticator:
    """Opaque tokens go to the broker; a JWT is one that a proxy in front of us has already asked for.

    Both are verified here: signature, issuer, audience and lifetime are nobody else's word.
    """

    def __init__(
        self,
        broker: Broker,
        validator: TokenValidator,
        possession: Possession,
        strangers: Strangers,
        memory: TokenMemory[bytes, Known],
        feed: DelegationFeed | None,
    ) -> None:
        self._possession = possession
        self._strangers = strangers
        self._broker = broker
        self._validator = validator
        self._memory = memory
        self._feed = feed
        self._verifying = SingleFlight[bytes, Known]()

    async def authenticate(self, scope: Scope, presented: PresentedToken) -> Caller:
        """Return who sends a request with this token.

        Raises:
            InvalidToken: it is not acceptable, or not in these hands.
            InvalidDPoPProof: the proof that must come with it proves nothing.
            TooManyRequests: it is unknown, and too many unknown ones came from there.
            TemporarilyUnavailable: it could not be checked. Never a reason to let it pass.
        """
        known = await self._known(presented.token, scope)
        await self._possession.check(scope, presented, known.token.confirmation)
        caller = Caller(known.token, presented, known.delegation)
        self.recheck(caller)
        return caller

    async def identify(self, fetched: str) -> VerifiedToken:
        """Return whom a token names that we have got from the authorization server ourselves.

        Nobody presented it, so nobody has to prove anything about it.

        Raises:
            InvalidToken: it is not acceptable.
            TemporarilyUnavailable: it could not be checked.
        """
        return (await self._known(fetched)).token

    def recheck(self, caller: Caller) -> None:
        """Return unless the end of the caller's delegation has been heard by now.

        Raises:
            InvalidToken: it has.
        """
        if self._feed is not None and self._feed.is_revoked(caller.delegation):
            raise InvalidToken("The access token is expired, revoked or unknown", reason="revoked meanwhile")

    async def _known(self, token: str, scope: Scope | None = None) -> Known:
        # A token has one binding for all its life, so its fingerprint stands for that as well.
        key = fingerprint(token)
        known = self._memory.get(key)
        return known or await self._ask(key, token, scope)

    async def _ask(self, key: bytes, token: str, scope: Scope | None) -> Known:
        """Verify a token that is not known, unless too many of its address were refused lately."""
        bucket = None if scope is None else self._strangers.require_room(scope)
        try:
            return await self._verifying.run(key, lambda: self._verify(key, token))
        except InvalidToken:
            self._strangers.count(bucket)
            raise

    async def _verify(self, key: bytes, presented: str) -> Known:
        asked = self._memory.ticket()
        # Nobody tells us the delegation of a JWT that came without the broker: that is remembered briefly.
        answer = (
            Answer(presented, None) if is_compact_jws(presented) else await self._broker.introspect(presented)
        )
        token = await self._validator.validate(answer.jwt)
        known = Known(token, answer.delegation)
        self._memory.put(key, known, expires_at=token.expires_at, delegation=answer.delegation, asked=asked)
        return known
