"""Enterprise-managed authorization: an identity provider lets an agent in (RFC 7523, ID-JAG).

The user signed in there and an administrator decided there; what comes here is an Identity Assertion JWT
Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant), good for one use.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import httpx
from joserfc import jws

from authcore.claims import VerifiedToken
from authcore.client_assertion import FirstUse
from authcore.clock import Clock
from authcore.errors import InvalidGrant, InvalidToken
from authcore.jwks import JwksClient
from authcore.validator import TokenProfile, TokenValidator
from authserver.clients import Client
from authserver.settings import IdentityProviderSettings, SigningAlgorithm
from authserver.users import User, Users, normal_email

TOKEN_TYPE: Final = "oauth-id-jag+jwt"  # noqa: S105  a media type
MAX_LIFETIME_SECONDS: Final = 600

_REFUSED: Final = "The assertion is not acceptable"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAssertion:
    """What the identity provider says, verified."""

    user: User
    scope: frozenset[str]
    """Empty: it says nothing of scopes."""
    resources: list[str]


class IdentityAssertions:
    """Checks assertions of the one identity provider that is trusted."""

    def __init__(
        self,
        provider: IdentityProviderSettings,
        client: httpx.AsyncClient,
        users: Users,
        first_use: FirstUse,
        *,
        issuer: str,
        now: Clock,
    ) -> None:
        self._provider = provider
        self._users = users
        self._first_use = first_use
        self._now = now
        profile = TokenProfile(
            issuer=provider.issuer,
            audience=frozenset({provider.audience or issuer}),
            algorithms=frozenset(get_args(SigningAlgorithm)),
            token_types=frozenset({TOKEN_TYPE}),
        )
        self._validator = TokenValidator(profile, JwksClient(client, provider.jwks_uri, now=now), now=now)

    async def verify(self, assertion: str, client: Client) -> IdentityAssertion:
        """Return what an assertion says about a user, to this client.

        Raises:
            InvalidGrant: it is not the provider's, not for us, not for this client, not about an approved
                user, lives too long or was used before.
            TemporarilyUnavailable: the provider's keys cannot be had.
        """
        try:
            verified = await self._validator.validate(assertion)
        except InvalidToken as error:
            raise InvalidGrant(_REFUSED, reason=error.reason) from None
        if verified.client_id != client.client_id or len(verified.audience) != 1:
            raise InvalidGrant(_REFUSED, reason="for another client")
        if verified.expires_at > self._now() + MAX_LIFETIME_SECONDS:
            raise InvalidGrant(_REFUSED, reason="lives too long")
        claims = _claims(assertion)
        user = self._user(verified, claims)
        if user is None:
            raise InvalidGrant(_REFUSED, reason="not an approved user")
        until = verified.expires_at + 60
        if verified.token_id is None or not await self._first_use(f"id-jag|{verified.token_id}", until):
            raise InvalidGrant(_REFUSED, reason="used before, or without a jti")
        return IdentityAssertion(user=user, scope=verified.scope, resources=_texts(claims.get("resource")))

    def _user(self, verified: VerifiedToken, claims: dict[str, Any]) -> User | None:
        email = self._provider.subjects.get(verified.subject)
        if email is None and claims.get("email_verified") is not False:
            claimed = claims.get("email")
            email = claimed if isinstance(claimed, str) else None
        return None if email is None else self._users.find(normal_email(email))


def _claims(verified: str) -> dict[str, Any]:
    """Return all claims of a verified assertion: the validator keeps only those that tokens have."""
    payload = jws.extract_compact(verified.encode("ascii")).payload
    return cast("dict[str, Any]", json.loads(payload or b"{}"))


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise InvalidGrant(_REFUSED, reason="malformed resource")
    return cast("list[str]", values)
