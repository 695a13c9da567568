"""What a presented token is good for right now, whether it is opaque or a JWT derived from one."""

from dataclasses import dataclass
from typing import Any, Final

from authcore.claims import format_scope
from authcore.client_assertion import StaticKeys
from authcore.clock import Clock
from authcore.errors import InvalidToken
from authcore.validator import TokenProfile, TokenValidator, is_compact_jws
from authserver.access_tokens import AccessTokens
from authserver.delegations import Delegation, Delegations
from authserver.keys import ALGORITHM, SigningKeys
from authserver.last_uses import LastUses
from authserver.users import User, Users

ACCESS_TOKEN_JWT: Final = "at+jwt"  # noqa: S105  a media type (RFC 9068 §2.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveToken:
    """A token that is good: not expired, its delegation not revoked, its user still approved."""

    token_id: str
    delegation: Delegation
    user: User
    scope: frozenset[str]
    audience: str
    issued_at: int
    expires_at: int
    actors: tuple[str, ...] = ()
    """Who acts, the current actor first."""

    def claims(self, issuer: str) -> dict[str, Any]:
        """Return the claims that speak of this token (RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693 §4).

        `client_id` is the agent the user let in, however many services act in between: those are in `act`.
        """
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": self.user.subject,
            "aud": self.audience,
            "client_id": self.delegation.client_id,
            "scope": format_scope(self.scope),
            "iat": self.issued_at,
            "nbf": self.issued_at,
            "exp": self.expires_at,
            "jti": self.token_id,
            "delegationId": self.delegation.delegation_id,
            "purpose": self.delegation.purpose,
            "region": self.user.region,
            "client_type": self.delegation.client_type,
            "client_assurance_level": self.delegation.assurance_level,
        }
        actor: dict[str, Any] | None = None
        for subject in reversed(self.actors):
            actor = {"sub": subject} if actor is None else {"sub": subject, "act": actor}
        return claims if actor is None else claims | {"act": actor}


class ActiveTokens:
    """Tells which tokens are good."""

    def __init__(
        self,
        tokens: AccessTokens,
        delegations: Delegations,
        users: Users,
        keys: SigningKeys,
        last_uses: LastUses,
        *,
        issuer: str,
        audiences: frozenset[str],
        now: Clock,
    ) -> None:
        self._tokens = tokens
        self._delegations = delegations
        self._users = users
        self._last_uses = last_uses
        self._now = now
        profile = TokenProfile(
            issuer=issuer,
            audience=audiences,
            algorithms=frozenset({ALGORITHM}),
            token_types=frozenset({ACCESS_TOKEN_JWT}),
            clock_skew_seconds=0,
        )
        self._validator = TokenValidator(profile, StaticKeys(list(keys.published)), now=now)

    async def find(self, token: str) -> ActiveToken | None:
        """Return what the token is good for, or `None` for every reason it may be good for nothing."""
        found = await (self._derived(token) if is_compact_jws(token) else self._opaque(token))
        if found is not None:
            self._last_uses.note(found.delegation.delegation_id, self._now())
        return found

    async def _opaque(self, token: str) -> ActiveToken | None:
        stored = await self._tokens.find(token, self._now())
        user = None if stored is None else self._users.find(stored.delegation.email)
        if stored is None or user is None:
            return None
        return ActiveToken(
            token_id=stored.token_id,
            delegation=stored.delegation,
            user=user,
            scope=stored.scope,
            audience=stored.audience,
            issued_at=stored.issued_at,
            expires_at=stored.expires_at,
        )

    async def _derived(self, token: str) -> ActiveToken | None:
        try:
            verified = await self._validator.validate(token)
        except InvalidToken:
            return None
        if verified.delegation_id is None or verified.token_id is None or verified.issued_at is None:
            return None
        delegation = await self._delegations.find(verified.delegation_id)
        if delegation is None or delegation.revoked_at is not None:
            return None
        user = self._users.find(delegation.email)
        if user is None or len(verified.audience) != 1:
            return None
        return ActiveToken(
            token_id=verified.token_id,
            delegation=delegation,
            user=user,
            scope=verified.scope,
            audience=next(iter(verified.audience)),
            issued_at=verified.issued_at,
            expires_at=verified.expires_at,
            actors=verified.actors,
        )
