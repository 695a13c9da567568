"""Security event tokens that a transmitter pushes to us (RFC 8417, RFC 8935).

The one event understood is that a session was revoked (CAEP), its subject an opaque id (RFC 9493 §3.2.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from authcore.claims import first_text
from authcore.clock import Clock
from authcore.errors import BadSignature, InvalidToken, UnknownKey, WrongAudience, WrongIssuer
from authcore.validator import KeySource, TokenProfile, TokenValidator, numeric_date

MEDIA_TYPE_SECEVENT: Final = "application/secevent+jwt"
SESSION_REVOKED: Final = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
MAX_SET_BYTES: Final = 16 * 1024


class RefusedSet(Exception):
    """The event token is not accepted. `err` is the code of RFC 8935 §2.4; the text is for the sender."""

    err: ClassVar[str] = "invalid_request"


class UnacceptableKey(RefusedSet):
    """Signed with a key or an algorithm that the transmitter is not known to use."""

    err = "invalid_key"


class UnauthenticTransmitter(RefusedSet):
    """Not signed by the key that it names."""

    err = "authentication_failed"


class WrongSetIssuer(RefusedSet):
    """From somebody else than the transmitter."""

    err = "invalid_issuer"


class WrongSetAudience(RefusedSet):
    """For somebody else."""

    err = "invalid_audience"


_REFUSALS: Final[dict[type[InvalidToken], type[RefusedSet]]] = {
    UnknownKey: UnacceptableKey,
    BadSignature: UnauthenticTransmitter,
    WrongIssuer: WrongSetIssuer,
    WrongAudience: WrongSetAudience,
}


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """A verified event token, as far as we understand it."""

    jti: str
    revoked: str | None
    """The id of what was revoked; `None` when the events are of kinds we do not act upon."""


class SecurityEventVerifier:
    """Verifies event tokens of one transmitter addressed to one receiver."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        algorithms: frozenset[str],
        clock_skew_seconds: int,
        now: Clock,
    ) -> None:
        profile = TokenProfile(
            issuer=issuer,
            audience=frozenset({audience}),
            algorithms=algorithms,
            # An access token is signed with the same keys: only the type keeps the two apart (RFC 8417 §2.3).
            token_types=frozenset({"secevent+jwt"}),
            max_token_bytes=MAX_SET_BYTES,
        )
        self._validator = TokenValidator(profile, keys, now=now)
        self._clock_skew_seconds = clock_skew_seconds
        self._now = now

    async def verify(self, token: str) -> SecurityEvent:
        """Return the event.

        Raises:
            RefusedSet: it is not acceptable, and will not become so.
            TemporarilyUnavailable: the keys could not be fetched.
        """
        try:
            return self._event(await self._validator.signed_claims(token))
        except InvalidToken as error:
            raise _REFUSALS.get(type(error), RefusedSet)(error.description) from None

    def _event(self, claims: Mapping[str, Any]) -> SecurityEvent:
        issued_at, jti = numeric_date(claims, "iat"), first_text(claims, ("jti",))
        if issued_at is None or jti is None:
            raise RefusedSet("An event needs iat and jti")
        if issued_at > self._now() + self._clock_skew_seconds:
            raise RefusedSet("The event is from the future")
        events: object = claims.get("events")
        if not isinstance(events, dict) or not events:
            raise RefusedSet("The token holds no events")
        if SESSION_REVOKED not in events:
            return SecurityEvent(jti, None)
        return SecurityEvent(jti, _opaque_subject(claims, cast("dict[str, object]", events)[SESSION_REVOKED]))


def _opaque_subject(claims: Mapping[str, Any], event: object) -> str:
    if not isinstance(event, dict):
        raise RefusedSet("The event is malformed")
    subject: object = claims.get("sub_id")
    if isinstance(subject, dict):
        members = cast("dict[str, object]", subject)
        identifier = members.get("id")
        if members.get("format") == "opaque" and isinstance(identifier, str) and identifier:
            return identifier
    raise RefusedSet('The event needs a sub_id of the format "opaque"')
