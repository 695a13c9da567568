"""Who calls the broker, and what it may ask for (RFC 6749 §2.3, RFC 7523 §2.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Request

from authcore.bearer import bearer_token
from authcore.claims import covers
from authcore.client_assertion import ClientAssertionVerifier, StaticKeys, claimed_client
from authcore.errors import (
    AccessDenied,
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    MissingCredentials,
)
from authcore.forms import Form
from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from token_broker.service_accounts import ServiceAccounts

Right = Literal["read", "revoke"]
"""What operators may do: see delegations, end them."""
RIGHTS: Final[frozenset[Right]] = frozenset({"read", "revoke"})

NOT_ACCEPTABLE = "The client assertion is not acceptable"


@dataclass(frozen=True, slots=True)
class Caller:
    """A registered client of the broker. What is not listed is not allowed."""

    client_id: str
    keys: StaticKeys
    resource: frozenset[str]
    """The spellings of the audience that subject tokens must have when this caller presents them."""
    audiences: frozenset[str]
    scopes: frozenset[str]
    rights: frozenset[Right] = frozenset()
    """What it may do with delegations that are not its own."""

    def require_audience(self, audience: str) -> None:
        """Return if this caller may have tokens for `audience`.

        Raises:
            InvalidTarget: it may not.
        """
        if audience not in self.audiences:
            raise InvalidTarget("The audience is not one this client may ask for")

    def require_scope(self, scope: frozenset[str]) -> None:
        """Return if this caller may have all of these scopes.

        Raises:
            InvalidScope: it may not.
        """
        if not covers(self.scopes, scope):
            raise InvalidScope("The scope is wider than this client may ask for")


class OperatorUnknown(InvalidClient):
    """Nobody can be read from the request; the answer says how to authenticate (RFC 9110 §11.6.1)."""


class OperatorsOnly(AccessDenied):
    """The client is known, but has no such right over delegations that are not its own."""

    status = 403


class ClientAuthentication:
    """Turns the client assertion of a request into a `Caller`."""

    def __init__(
        self,
        callers: Mapping[str, Caller],
        verifier: ClientAssertionVerifier,
        service_accounts: ServiceAccounts | None,
    ) -> None:
        self._callers = callers
        self._verifier = verifier
        self._service_accounts = service_accounts

    async def authenticate(self, request: Request, form: Form) -> Caller:
        """Return the caller that this request proves to come from.

        Raises:
            InvalidClient: no proof, a wrong one, a used one or an unknown client.
            TemporarilyUnavailable: it could not be checked.
        """
        if "authorization" in request.headers:
            raise InvalidClient("Authenticate with private_key_jwt", reason="Authorization header used")
        assertion = form.get("client_assertion")
        if assertion is None or form.get("client_assertion_type") != CLIENT_ASSERTION_JWT_BEARER:
            raise InvalidClient("Authenticate with private_key_jwt", reason="no client assertion")
        if form.get("client_secret") is not None:
            raise InvalidRequest("More than one way of client authentication")
        claimed = form.get("client_id")
        return await self._proven(assertion, claimed)

    async def authenticate_operator(self, request: Request, right: Right) -> Caller:
        """Return the operator whose client assertion is the bearer token of this request.

        Raises:
            OperatorUnknown: there is none.
            InvalidClient: a wrong one, a used one or an unknown client.
            OperatorsOnly: the client is not an operator with this right.
            TemporarilyUnavailable: it could not be checked.
        """
        try:
            assertion = bearer_token(request.scope["headers"])
        except (MissingCredentials, InvalidToken) as error:
            raise OperatorUnknown("Authenticate with a client assertion", reason=error.reason) from None
        caller = await self._proven(assertion)
        if right not in caller.rights:
            raise OperatorsOnly(f"This client may not {right} other people's delegations")
        return caller

    async def _proven(self, assertion: str, client_id: str | None = None) -> Caller:
        """Return the caller that the assertion proves, and that the request names if it names one."""
        subject = claimed_client(assertion)
        accounts = self._service_accounts
        workload = None if accounts is None else accounts.client_of(subject)
        caller = self._callers.get(workload or subject or "")
        # One answer for unknown clients and bad proofs: neither is told which it is.
        if caller is None or subject is None:
            raise InvalidClient(NOT_ACCEPTABLE, reason="unknown client")
        if client_id not in (None, caller.client_id):
            raise InvalidClient(NOT_ACCEPTABLE, reason="client_id is another's")
        if accounts is not None and workload is not None:
            await accounts.verify(assertion, subject)
        else:
            await self._verifier.verify(assertion, caller.client_id, caller.keys)
        return caller
