"""From a presented token to a verified one, whatever form it has."""

from authcore.claims import VerifiedToken
from authcore.errors import InvalidToken
from authcore.single_flight import SingleFlight
from authcore.validator import TokenValidator, is_compact_jws
from mcp_gateway.broker import Broker, fingerprint
from mcp_gateway.expiring_cache import ExpiringCache


class Authenticator:
    """Opaque tokens go to the broker; a JWT is one that a proxy in front of us has already asked for.

    Both are verified here: signature, issuer, audience and lifetime are nobody else's word.
    """

    def __init__(
        self, broker: Broker, validator: TokenValidator, verified: ExpiringCache[bytes, VerifiedToken]
    ) -> None:
        self._broker = broker
        self._validator = validator
        self._verified = verified
        self._verifying = SingleFlight[bytes, VerifiedToken]()

    async def authenticate(self, presented: str) -> VerifiedToken:
        """Return the claims behind the presented token.

        Raises:
            InvalidToken: it is not acceptable.
            TemporarilyUnavailable: it could not be checked. Never a reason to let it pass.
        """
        key = fingerprint(presented)
        token = self._verified.get(key)
        if token is None:
            token = await self._verifying.run(key, lambda: self._verify(key, presented))
        return token

    async def _verify(self, key: bytes, presented: str) -> VerifiedToken:
        jwt = presented if is_compact_jws(presented) else await self._broker.introspect(presented)
        token = await self._validator.validate(jwt)
        if token.confirmation:
            # Bound to a key whose proof we do not check here: as a bearer token it is a stolen one.
            raise InvalidToken("The token is bound to a key and cannot be used as a bearer token")
        self._verified.put(key, token, expires_at=token.expires_at)
        return token
