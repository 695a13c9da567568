"""What a presented token is good for right now, whether it is opaque or a JWT derived from one."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from authcore.claims import format_scope
from authcore.clock import Clock
from authcore.errors import InvalidToken
from authcore.validator import TokenProfile, TokenValidator, is_compact_jws
from authserver.access_tokens import AccessTokens
from authserver.delegations import Delegation, Delegations
from authserver.keys import SigningKeys
from authserver.settings import SigningAlgorithm
from authserver.users import User, Users

ACCESS_TOKEN_JWT: Final = "at+jwt"  # noqa: S105  a media type (RFC 9068 §2.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveToken:
    """A token that is good: not expired, its delegation not revoked, its user still approved."""

    token_id: str
    delegation: Delegation
    user: User | None
    """For whom; nobody if the client acts for itself alone."""
    scope: frozenset[str]
    audience: str
    issued_at: int
    expires_at: int
    actors: tuple[str, ...] = ()
    """Who acts, the current actor first."""
    dpop_jkt: str | None = None
    """The key it is bound to; absent: a bearer token."""

    @property
    def token_type(self) -> Literal["Bearer", "DPoP"]:
        """How the token is presented (RFC 6749 §7.1, RFC 9449 §5)."""
        return "Bearer" if self.dpop_jkt is None else "DPoP"

    def claims(self, issuer: str) -> dict[str, Any]:
        """Return the claims that speak of this token (RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693 §4).

        `client_id` is the agent the user let in, however many services act in between: those are in `act`.
        """
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": self.delegation.client_id if self.user is None else self.user.subject,
            "aud": self.audience,
            "client_id": self.delegation.client_id,
            "scope": format_scope(self.scope),
            "iat": self.issued_at,
            "nbf": self.issued_at,
            "exp": self.expires_at,
            "jti": self.token_id,
            "delegationId": self.delegation.delegation_id,
            "purpose": self.delegation.purpose,
            "client_type": self.delegation.client_type,
            "client_assurance_level": self.delegation.assurance_level,
        }
        if self.user is not None:
            claims["region"] = self.user.region
        if self.delegation.may_act is not None and len(self.delegation.may_act) == 1:
            # RFC 8693 §4.4 has room for one party; of several the claim says nothing, and we still know.
            claims["may_act"] = {"sub": next(iter(self.delegation.may_act))}
        if self.dpop_jkt is not None:
            claims["cnf"] = {"jkt": self.dpop_jkt}
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
        *,
        issuer: str,
        audiences: frozenset[str],
        now: Clock,
    ) -> None:
        self._tokens = tokens
        self._delegations = delegations
        self._users = users
        self._now = now
        profile = TokenProfile(
            issuer=issuer,
            audience=audiences,
            algorithms=frozenset(get_args(SigningAlgorithm)),
            token_types=frozenset({ACCESS_TOKEN_JWT}),
            clock_skew_seconds=0,
        )
        self._validator = TokenValidator(profile, keys, now=now)

    async def find(self, token: str) -> ActiveToken | None:
        """Return what the token is good for, or `None` for every reason it may be good for nothing."""
        if is_compact_jws(token):
            return await self._derived(token)
        stored = await self._tokens.find(token, self._now())
        if stored is None or not self._approved(stored.delegation):
            return None
        return ActiveToken(
            token_id=stored.token_id,
            delegation=stored.delegation,
            user=self._user(stored.delegation),
            scope=stored.scope,
            audience=stored.audience,
            dpop_jkt=stored.dpop_jkt,
            issued_at=stored.issued_at,
            expires_at=stored.expires_at,
        )

    def _user(self, delegation: Delegation) -> User | None:
        return None if delegation.email is None else self._users.find(delegation.email)

    def _approved(self, delegation: Delegation) -> bool:
        return delegation.email is None or self._user(delegation) is not None

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
        if not self._approved(delegation) or len(verified.audience) != 1:
            return None
        return ActiveToken(
            token_id=verified.token_id,
            delegation=delegation,
            user=self._user(delegation),
            scope=verified.scope,
            audience=next(iter(verified.audience)),
            issued_at=verified.issued_at,
            expires_at=verified.expires_at,
            actors=verified.actors,
            dpop_jkt=verified.confirmation.get("jkt"),
        )
