"""Subjects of servers whose introspection describes a token and gives no JWT (RFC 7662, RFC 9701)."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from authcore.claims import (
    audience_of,
    confirmation_of,
    covers,
    delegation_id_of,
    first_claim,
    first_text,
    parse_scope,
)
from authcore.clock import Clock
from authcore.errors import InvalidToken, OAuthError, TemporarilyUnavailable
from authcore.oauth2_types import MEDIA_TYPE_INTROSPECTION_JWT
from authcore.validator import TokenValidator
from token_broker.adapters.token_request import TokenRequest
from token_broker.authorization_server import (
    AuthorizationServer,
    InteractionRequired,
    process_introspection,
    process_json_introspection,
)
from token_broker.delegations import Delegation, nameless_delegation, tag_of
from token_broker.profiles import Profile
from token_broker.subjects import MEDIA_TYPE_JSON, Subject, misbehaviour

logger = logging.getLogger(__name__)

MAX_STATEMENT_AGE_SECONDS: Final = 60


class DescribedSubjects:
    """Introspection describes the token, in JSON or signed (RFC 9701); the JWT is then got by an exchange.

    The exchange is for the very resource that the token is for, with the same scope. Only a token whose
    description names the resource gets that far: else one for somebody else could be turned into one for us.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        validator: TokenValidator,
        profile: Profile,
        *,
        resources: Mapping[str, str],
        statements: TokenValidator | None,
        now: Clock,
    ) -> None:
        """Prepare.

        Args:
            server: whom to ask.
            validator: for the exchanged JWT.
            profile: which claims and relaxations.
            resources: `aud` in a description → the resource's own name.
            statements: for signed descriptions; `None` where they come as JSON.
            now: the clock.
        """
        self._server = server
        self._validator = validator
        self._profile = profile
        self._resources = resources
        self._statements = statements
        self._now = now

    async def active(self, token: str) -> bool:
        """Ask for the description and look no further."""
        return await self._description(token) is not None

    async def ask(self, token: str) -> Subject | None:
        """Ask for the description, then for the JWT, and compare the two."""
        described = await self._description(token)
        if described is None:
            return None
        try:
            resource = next(
                (self._resources[a] for a in audience_of(described) if a in self._resources), None
            )
            user = first_text(described, self._profile.claims.subject)
            scope = parse_scope(first_claim(described, self._profile.claims.scope))
            delegation = self._delegation(described, token)
            expires_at = described.get("exp")
            confirmation = confirmation_of(described)
        except InvalidToken as error:
            raise misbehaviour(f"introspection: {error.reason}") from None
        if resource is None:
            return None
        if user is None or not isinstance(expires_at, int):
            raise misbehaviour("introspection names no user or no expiry")
        jwt = await self._exchanged(TokenRequest(token, resource, scope, user))
        if jwt is None:
            return None
        try:
            verified = await self._validator.validate(jwt)
        except InvalidToken as error:
            raise misbehaviour(f"the JWT for the resource: {error.reason}") from None
        if verified.subject != user or not covers(scope, verified.scope):
            raise misbehaviour(
                "the JWT for the resource is not for the user and scope of the presented token"
            )
        if confirmation != verified.confirmation:
            # The gateway reads the JWT: it would take a stolen token for one that belongs to whoever has it.
            logger.warning("a presented token is bound to a key, and the JWT for the resource is not")
            return None
        if verified.expires_at > expires_at and self._profile.relaxations.outlives_subject is None:
            raise misbehaviour("the JWT for the resource outlives the presented token")
        return Subject(verified, delegation, jwt, min(expires_at, verified.expires_at))

    async def _exchanged(self, request: TokenRequest) -> str | None:
        try:
            return await self._server.exchange(request)
        except (TemporarilyUnavailable, InteractionRequired):
            raise
        except OAuthError as error:
            # It may have died since it was described; if not, the server does not do what its profile says.
            if await self.active(request.subject_token):
                raise misbehaviour(f"no JWT for the resource: {error.reason}") from None
            return None

    def _delegation(self, described: Mapping[str, Any], token: str) -> Delegation:
        name = delegation_id_of(described, self._profile.claims.delegation)
        if name is None:
            return nameless_delegation(token)
        return Delegation(tag_of(name), "claim")

    async def _description(self, token: str) -> Mapping[str, Any] | None:
        if self._statements is None:
            return process_json_introspection(
                await self._server.send_introspection(token, accept=MEDIA_TYPE_JSON)
            )
        response = await self._server.send_introspection(token, accept=MEDIA_TYPE_INTROSPECTION_JWT)
        statement = process_introspection(response, MEDIA_TYPE_INTROSPECTION_JWT)
        return None if statement is None else await self._stated(self._statements, statement)

    async def _stated(self, statements: TokenValidator, statement: str) -> Mapping[str, Any] | None:
        """Return what a signed description says (RFC 9701 §5)."""
        try:
            claims = await statements.signed_claims(statement)
        except InvalidToken as error:
            raise misbehaviour(f"the statement of introspection: {error.reason}") from None
        described, issued_at = _members(claims.get("token_introspection")), claims.get("iat")
        if not isinstance(described.get("active"), bool):
            raise misbehaviour("the statement of introspection says nothing")
        if not isinstance(issued_at, int) or abs(self._now() - issued_at) > MAX_STATEMENT_AGE_SECONDS:
            raise misbehaviour("the statement of introspection is not of now")
        return described if described["active"] else None

    def keep(self, subject: Subject) -> str:
        """Return the JWT with what it does not say itself."""
        kept = {"jwt": subject.jwt, "exp": subject.expires_at, "source": subject.delegation.source}
        return json.dumps(kept)

    async def recall(self, kept: str, token: str, tag: str) -> Subject | None:  # noqa: ARG002  others need it
        """Verify the JWT again. That the rest belongs to this token and tag, sealing has shown."""
        try:
            parts = json.loads(kept)
            verified = await self._validator.validate(parts["jwt"])
            return Subject(verified, Delegation(tag, parts["source"]), parts["jwt"], parts["exp"])
        except (ValueError, KeyError, TypeError, InvalidToken):
            return None


def _members(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
