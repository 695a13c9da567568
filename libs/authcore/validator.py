"""JWT validation for one issuer and one audience (RFC 7519 §7.2, RFC 9068 §4, RFC 8725)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from authcore.claims import (
    ClaimNames,
    VerifiedToken,
    actors_of,
    audience_of,
    confirmation_of,
    context_of,
    delegation_id_of,
    first_claim,
    first_text,
    parse_scope,
)
from authcore.clock import Clock
from authcore.errors import BadSignature, InvalidToken, UnknownKey, WrongAudience, WrongIssuer
from authcore.verified_tokens import Verification, VerifiedTokens

ASYMMETRIC_ALGORITHMS = frozenset(
    {"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "EdDSA", "Ed25519"}
)

MAX_NUMERIC_DATE = 2**53
"""Beyond it, readers of JSON disagree about what the number is (RFC 8259 §6)."""

_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class KeySource(Protocol):
    """Where verification keys come from: an issuer's JWKS, or keys given in configuration."""

    async def key_for(self, kid: str | None, alg: str) -> Key:
        """Return the key, or raise `InvalidToken` or `TemporarilyUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class TokenProfile:
    """What is accepted. There is no default for whom to trust."""

    issuer: str
    audience: frozenset[str]
    """The token must name at least one of these. They are names of one resource, not a list of resources."""
    algorithms: frozenset[str] = frozenset({"ES256"})
    token_types: frozenset[str] | None = None
    """Accepted `typ` headers, in lower case without `application/`; `None` accepts any (RFC 8725 §3.11)."""
    clock_skew_seconds: int = 30
    max_token_bytes: int = 8192
    claim_names: ClaimNames = field(default_factory=ClaimNames)

    def __post_init__(self) -> None:
        """Refuse profiles that could not be secure.

        Raises:
            ValueError: no issuer or audience, or an algorithm that is not an asymmetric signature.
        """
        if not self.issuer or not self.audience or not all(self.audience):
            raise ValueError("a token profile needs an issuer and an audience")
        if not self.algorithms or not self.algorithms <= ASYMMETRIC_ALGORITHMS:
            raise ValueError("only asymmetric signature algorithms are allowed")


def is_compact_jws(token: str) -> bool:
    """Tell whether the token has the form of a signed JWT; anything else is opaque to us."""
    return _COMPACT_JWS.fullmatch(token) is not None


class TokenValidator:
    """Turns a JWT into a `VerifiedToken`, or refuses it."""

    def __init__(self, profile: TokenProfile, keys: KeySource, *, now: Clock, remembered: int = 0) -> None:
        """Validate by this profile.

        Args:
            profile: what is accepted.
            keys: where the keys are; they are asked about every token, be it remembered or not.
            now: the clock.
            remembered: of how many tokens the verification is remembered. None, for what is used once.
        """
        self._verified_tokens = VerifiedTokens(remembered) if remembered else None
        self._profile = profile
        self._keys = keys
        self._now = now
        # Unknown header parameters are ignored (RFC 7515 §4); `crit` ones are still refused.
        self._registry = jws.JWSRegistry(algorithms=sorted(profile.algorithms), strict_check_header=False)

    async def validate(self, token: str) -> VerifiedToken:
        """Return the verified claims.

        Raises:
            InvalidToken: for every reason a token can be wrong.
            TemporarilyUnavailable: the keys could not be fetched.
        """
        if self._verified_tokens is None:
            return self._check((await self._signed(token))[0])
        known = self._verified_tokens.get(token)
        if known is not None and await self._holds(known):
            return known.token
        self._verified_tokens.forget(token)
        claims, kid, alg, key = await self._signed(token)
        verified = self._check(claims)
        self._verified_tokens.put(token, Verification(kid, alg, key, verified, self._now()))
        return verified

    async def _holds(self, known: Verification) -> bool:
        """Tell whether a verification would end now as it did then.

        Raises:
            UnknownKey: the key was withdrawn.
            TemporarilyUnavailable: the keys could not be fetched.
        """
        # A clock that was set back may be before `nbf`.
        expires_at = known.token.expires_at + self._profile.clock_skew_seconds
        if not known.verified_at <= self._now() < expires_at:
            return False
        return await self._keys.key_for(known.kid, known.alg) is known.key

    async def signed_claims(self, token: str) -> Mapping[str, Any]:
        """Return what the issuer signed for this audience, whatever it says of subject and lifetime.

        For statements that are not tokens (RFC 8417, RFC 9701): the caller checks the rest.

        Raises:
            InvalidToken: type, algorithm, signature, issuer or audience is wrong.
            TemporarilyUnavailable: the keys could not be fetched.
        """
        return (await self._signed(token))[0]

    async def _signed(self, token: str) -> tuple[Mapping[str, Any], str | None, str, Key]:
        """Return the claims, and the key with what it was found by."""
        if len(token) > self._profile.max_token_bytes or not is_compact_jws(token):
            raise InvalidToken("The token is malformed")
        signed = self._parsed(token)
        header = signed.headers()
        alg, kid = self._algorithm(header), header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise InvalidToken("The token is malformed")
        key = await self._keys.key_for(kid, alg)
        claims = self._verified(signed, key)
        if claims.get("iss") != self._profile.issuer:
            raise WrongIssuer("The token is from another issuer")
        if not audience_of(claims) & self._profile.audience:
            raise WrongAudience("The token is for another audience")
        return claims, kid, alg, key

    def _parsed(self, token: str) -> jws.CompactSignature:
        try:
            return jws.extract_compact(token.encode("ascii"), registry=self._registry)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise InvalidToken("The token is malformed", reason=type(error).__name__) from None

    def _verified(self, signed: jws.CompactSignature, key: Key) -> Mapping[str, Any]:
        """Return the claims, which are not looked at before the signature over them is good."""
        try:
            if not jws.validate_compact(signed, key, registry=self._registry):
                raise BadSignature("The token's signature is invalid")
            claims: object = json.loads(signed.payload)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise BadSignature("The token's signature is invalid", reason=type(error).__name__) from None
        if not isinstance(claims, dict):
            raise BadSignature("The token's signature is invalid", reason="no JSON object")
        return cast("dict[str, Any]", claims)

    def _algorithm(self, header: Mapping[str, Any]) -> str:
        alg = header.get("alg")
        if not isinstance(alg, str) or alg not in self._profile.algorithms:
            raise UnknownKey("The token is signed with an algorithm that is not accepted")
        accepted = self._profile.token_types
        if accepted is not None:
            typ = header.get("typ")
            if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in accepted:
                raise InvalidToken("The token is of the wrong type")
        return alg

    def _check(self, claims: Mapping[str, Any]) -> VerifiedToken:
        profile, now, skew = self._profile, self._now(), self._profile.clock_skew_seconds
        expires_at = numeric_date(claims, "exp")
        if expires_at is None:
            raise InvalidToken("The token has no expiry")
        if now >= expires_at + skew:
            raise InvalidToken("The token has expired")
        for name in ("nbf", "iat"):
            moment = numeric_date(claims, name)
            if moment is not None and now < moment - skew:
                raise InvalidToken("The token is not valid yet")
        names = profile.claim_names
        subject = first_text(claims, names.subject)
        if subject is None:
            raise InvalidToken("The token has no subject")
        return VerifiedToken(
            issuer=profile.issuer,
            subject=subject,
            audience=audience_of(claims),
            scope=parse_scope(first_claim(claims, names.scope)),
            expires_at=expires_at,
            issued_at=numeric_date(claims, "iat"),
            token_id=first_text(claims, ("jti",)),
            client_id=first_text(claims, names.client),
            delegation_id=delegation_id_of(claims, names.delegation),
            context=context_of(claims),
            actors=actors_of(claims),
            confirmation=confirmation_of(claims),
        )


def numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    """Return the claim in whole seconds, or `None` if it is absent (RFC 7519 §2).

    Raises:
        InvalidToken: it is not a number, or none that a date could be.
    """
    value = claims.get(name)
    if value is None:
        return None
    # JSON knows fractions and numbers without end, and Python's parser NaN and Infinity (RFC 7519 §2).
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_NUMERIC_DATE:
        raise InvalidToken(f"The token's {name} is malformed")
    return int(value)
