"""What a presented token stands for, in each way that authorization servers say it (docs/adr/0017).

Whatever the way, the outcome is a JWT that the server itself signed for the resource, so that whoever
receives it from the broker verifies it with the server's keys and needs to trust nobody else.
"""

import logging
from dataclasses import dataclass, field
from typing import Final, Protocol

from authcore.claims import (
    VerifiedToken,
)
from authcore.errors import InvalidToken, TemporarilyUnavailable, WrongAudience
from authcore.validator import TokenValidator
from token_broker.authorization_server import (
    AuthorizationServer,
    process_introspection,
    process_json_introspection,
)
from token_broker.delegations import Delegation, delegation_of
from token_broker.profiles import IntrospectionTable

logger = logging.getLogger(__name__)

MEDIA_TYPE_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Subject:
    """An active subject token: its claims, its delegation and the JWT that stands for it."""

    token: VerifiedToken
    delegation: Delegation
    jwt: str = field(repr=False)
    expires_at: int
    """When the presented token expires; no later than the JWT."""


class SubjectSource(Protocol):
    """One way to learn what a token stands for."""

    async def ask(self, token: str) -> Subject | None:
        """Return what the server says now, or `None` for a token that is not active here.

        Raises:
            TemporarilyUnavailable: it did not say, or said what cannot be right.
        """
        ...

    async def active(self, token: str) -> bool:
        """Tell whether the server calls the token active now.

        Raises:
            TemporarilyUnavailable: it did not say.
        """
        ...

    def keep(self, subject: Subject) -> str:
        """Return what to remember of the answer."""
        ...

    async def recall(self, kept: str, token: str, tag: str) -> Subject | None:
        """Return the subject that was kept for this token in this delegation, if it still verifies.

        Raises:
            TemporarilyUnavailable: nobody could say.
        """
        ...


def misbehaviour(reason: str) -> TemporarilyUnavailable:
    """Return the error for an answer of the authorization server that must not be passed on; it is logged."""
    logger.error("an answer of the authorization server was refused: %s", reason)
    return TemporarilyUnavailable("The authorization server gave an unacceptable answer", reason=reason)


class JwtSubjects:
    """Base of the ways in which the JWT comes ready made: from introspection, or from the agent itself."""

    def __init__(self, validator: TokenValidator) -> None:
        self._validator = validator

    def keep(self, subject: Subject) -> str:
        """Return the JWT: it says everything."""
        return subject.jwt

    async def recall(self, kept: str, token: str, tag: str) -> Subject | None:
        """Verify again: since it was kept, its key may have been withdrawn."""
        try:
            subject = await self._verified(kept, token)
        except InvalidToken:
            return None
        return subject if subject.delegation.tag == tag else None

    async def _verified(self, jwt: str, token: str) -> Subject:
        verified = await self._validator.validate(jwt)
        return Subject(verified, delegation_of(verified, token), jwt, verified.expires_at)


class PhantomSubjects(JwtSubjects):
    """Introspection gives the JWT: as the whole answer (`phantom_204`), or in a member (`json_jwt_field`)."""

    def __init__(
        self,
        server: AuthorizationServer,
        validator: TokenValidator,
        introspection: IntrospectionTable,
    ) -> None:
        super().__init__(validator)
        self._server = server
        self._introspection = introspection

    async def ask(self, token: str) -> Subject | None:
        """Ask for the JWT and verify it."""
        jwt = await self._phantom(token)
        if jwt is None:
            return None
        try:
            return await self._verified(jwt, token)
        except WrongAudience:
            return None
        except InvalidToken as error:
            raise misbehaviour(f"the JWT of introspection: {error.reason}") from None

    async def active(self, token: str) -> bool:
        """Ask for the JWT and look no further."""
        return await self._phantom(token) is not None

    async def _phantom(self, token: str) -> str | None:
        if self._introspection.mode == "phantom_204":
            return process_introspection(await self._server.send_introspection(token))
        response = await self._server.send_introspection(token, accept=self._introspection.accept)
        document = process_json_introspection(response)
        if document is None:
            return None
        jwt = document.get(self._introspection.field)
        if not isinstance(jwt, str):
            raise misbehaviour("introspection gave no JWT")
        return jwt


class PresentedSubjects(JwtSubjects):
    """The token is the JWT (`local_jwt`); if the server can be asked, it must also call the token active."""

    def __init__(self, server: AuthorizationServer | None, validator: TokenValidator) -> None:
        super().__init__(validator)
        self._server = server

    async def ask(self, token: str) -> Subject | None:
        """Verify first: what is not even signed is not worth a question."""
        try:
            subject = await self._verified(token, token)
        except InvalidToken as error:
            logger.info("a presented JWT is not acceptable: %s", error.reason)
            return None
        return subject if await self.active(token) else None

    async def active(self, token: str) -> bool:
        """Ask, if there is somebody to ask."""
        if self._server is None:
            return True
        response = await self._server.send_introspection(token, accept=MEDIA_TYPE_JSON)
        return process_json_introspection(response) is not None
