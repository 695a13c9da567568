"""`private_key_jwt`: a client proves itself with a signed assertion (RFC 7523 §2.2 and §3, OIDC Core §9)."""

import json
import secrets
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from authcore.clock import Clock
from authcore.errors import InvalidClient, InvalidToken, UnknownKey
from authcore.jwks import fits
from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from authcore.validator import ASYMMETRIC_ALGORITHMS, TokenProfile, TokenValidator, is_compact_jws

LIFETIME_SECONDS = 60
MAX_LIFETIME_SECONDS = 300

FirstUse = Callable[[str, int], Awaitable[bool]]
"""Remembers (key, until): true the first time a key is seen, false on a replay."""


class StaticKeys:
    """Public keys known from configuration or registration, by `kid`."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    async def key_for(self, kid: str | None, alg: str) -> Key:
        """Return the key with this id that fits the algorithm; without an id there must be no choice.

        Raises:
            UnknownKey: there is none.
        """
        fitting = [key for key in self._keys if fits(key, alg) and (kid is None or key.kid == kid)]
        if len(fitting) != 1:
            raise UnknownKey("Signed with an unknown key")
        return fitting[0]


class ClientAssertionSigner:
    """Makes assertions for one client from its private JWK."""

    def __init__(self, client_id: str, private_jwk: Mapping[str, Any], *, now: Clock) -> None:
        """Import the key.

        Raises:
            ValueError: the JWK is not a private signing key with an `alg`.
        """
        try:
            self._key = import_key(dict(private_jwk))
        except (JoseError, ValueError, TypeError):
            # The cause could show parts of the key.
            raise ValueError("the client key is not a JWK") from None
        if not self._key.is_private or self._key.alg not in ASYMMETRIC_ALGORITHMS:
            raise ValueError("the client key must be a private JWK with an asymmetric `alg`")
        self._alg = self._key.alg
        # Some servers find the key by its certificate (RFC 7515 §4.1.8).
        names = {"kid": self._key.kid, "x5t#S256": private_jwk.get("x5t#S256")}
        self._header = {"alg": self._alg, "typ": "JWT"} | {name: id for name, id in names.items() if id}
        self._client_id = client_id
        self._now = now

    def parameters(self, audience: str) -> dict[str, str]:
        """Return the form parameters that authenticate one request to `audience` (RFC 7521 §4.2)."""
        return {
            "client_id": self._client_id,
            "client_assertion_type": CLIENT_ASSERTION_JWT_BEARER,
            "client_assertion": self.assertion(self._client_id, audience),
        }

    def assertion(self, subject: str, audience: str) -> str:
        """Return a signed statement about `subject`, good once and for a minute (RFC 7523 §3)."""
        now = self._now()
        claims = {
            "iss": self._client_id,
            "sub": subject,
            "aud": audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        }
        return jwt.encode(self._header, claims, self._key, algorithms=[self._alg])


class ClientAssertionVerifier:
    """Checks assertions addressed to us: signature, parties, lifetime, single use."""

    def __init__(
        self,
        audience: frozenset[str],
        *,
        now: Clock,
        first_use: FirstUse,
        algorithms: frozenset[str] = frozenset({"ES256", "PS256", "RS256"}),
    ) -> None:
        self._audience = audience
        self._now = now
        self._first_use = first_use
        self._algorithms = algorithms

    async def verify(self, assertion: str, client_id: str, keys: StaticKeys) -> None:
        """Return if the assertion proves `client_id`, whose registered keys are given.

        Raises:
            InvalidClient: it does not, or it was used before.
        """
        await self.subject_of(assertion, client_id, keys, among=(client_id,))

    async def subject_of(
        self, assertion: str, client_id: str, keys: StaticKeys, *, among: Container[str]
    ) -> str:
        """Return of whom an assertion of `client_id` speaks, who is one of `among`.

        Raises:
            InvalidClient: it speaks of somebody else, is not the client's, or was used before.
        """
        profile = TokenProfile(issuer=client_id, audience=self._audience, algorithms=self._algorithms)
        try:
            token = await TokenValidator(profile, keys, now=self._now).validate(assertion)
        except InvalidToken as error:
            raise InvalidClient("The client assertion is not acceptable", reason=error.reason) from None
        if token.subject not in among or token.token_id is None:
            raise InvalidClient("The client assertion is not acceptable", reason="sub or jti")
        if token.expires_at > self._now() + MAX_LIFETIME_SECONDS:
            raise InvalidClient("The client assertion lives too long")
        until = token.expires_at + profile.clock_skew_seconds
        if not await self._first_use(f"{client_id}|{token.token_id}", until):
            raise InvalidClient("The client assertion was used before")
        return token.subject


def claimed_client(assertion: str) -> str | None:
    """Return the `sub` an assertion claims, unverified: good for finding its keys and nothing else."""
    if len(assertion) > 8192 or not is_compact_jws(assertion):
        return None
    try:
        payload = jws.extract_compact(assertion.encode("ascii")).payload
        subject = json.loads(payload or b"").get("sub")
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return subject if isinstance(subject, str) else None
