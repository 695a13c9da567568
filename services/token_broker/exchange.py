"""Token exchange (RFC 8693): a JWT for one audience that can do no more than its subject token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fastapi import Response
from fastapi.responses import JSONResponse

from authcore.claims import VerifiedToken, common, covers, format_scope
from authcore.clock import Clock
from authcore.delegation_feed import DelegationFeed
from authcore.errors import (
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    UnsupportedGrantType,
)
from authcore.forms import Form
from authcore.oauth2_types import (
    DELEGATION_TAG_HEADER,
    GRANT_TOKEN_EXCHANGE,
    NO_STORE,
    TOKEN_TYPE_ACCESS_TOKEN,
    TOKEN_TYPE_JWT,
    TokenResponse,
)
from authcore.validator import TokenValidator
from token_broker.adapters.token_request import TokenRequest
from token_broker.authorization_server import AuthorizationServer, InteractionRequired
from token_broker.client_auth import Caller
from token_broker.delegations import AlreadyRevoked, DelegationStore, exchanged
from token_broker.introspection import Introspection
from token_broker.profiles import Profile
from token_broker.refresh_ahead import RefreshAhead
from token_broker.sealing import fingerprint
from token_broker.single_flight import Flights, ReplicaLocks
from token_broker.subjects import Subject, misbehaviour

DEAD = "The subject token is not active"

FRESH_SECONDS: Final = 5
"""A token that was issued this short a time ago is as good as a new one."""


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """What a caller asks for. Without a scope it asks for all it may have."""

    subject_token: str = field(repr=False)
    audience: str
    scope: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A token for the target, verified."""

    token: VerifiedToken
    tag: str
    """The delegation it belongs to."""
    jwt: str = field(repr=False)
    expires_at: int
    """When it stops being given out: with the token or with its subject, whichever is first."""


def parse_exchange(form: Form) -> ExchangeRequest:
    """Return the request, if it is one we serve.

    Spec: RFC 8693 §2.1.

    Raises:
        UnsupportedGrantType: another grant type.
        InvalidTarget: more than one target.
        InvalidRequest: a parameter is missing, repeated or not supported.
    """
    if form.require("grant_type") != GRANT_TOKEN_EXCHANGE:
        raise UnsupportedGrantType("Only token exchange is offered")
    subject_token = form.require("subject_token")
    if form.require("subject_token_type") != TOKEN_TYPE_ACCESS_TOKEN:
        raise InvalidRequest("The subject token must be an access token")
    if form.get("requested_token_type") not in (None, TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT):
        raise InvalidRequest("Only access tokens are issued")
    if form.get("actor_token") is not None or form.get("actor_token_type") is not None:
        raise InvalidRequest("The actor is the authenticated client; actor tokens are not accepted")
    audiences = form.get_all("audience")
    if len(audiences) > 1 or form.get_all("resource"):
        raise InvalidTarget("Name one target, with the parameter audience")
    scope = form.get("scope")
    return ExchangeRequest(
        subject_token, form.require("audience"), None if scope is None else frozenset(scope.split())
    )


def exchange_response(issued: Issued, *, now: int) -> Response:
    """Return the successful answer (RFC 8693 §2.2.1); its lifetime counts from now, not from the exchange."""
    document = TokenResponse(
        access_token=issued.jwt,
        expires_in=max(issued.expires_at - now, 0),
        scope=format_scope(issued.token.scope),
        issued_token_type=TOKEN_TYPE_ACCESS_TOKEN,
    ).document()
    return JSONResponse(document, headers=NO_STORE | {DELEGATION_TAG_HEADER: issued.tag})


def wants_fresh(headers: Mapping[str, str]) -> bool:
    """Tell whether a request asks for what is not remembered (RFC 9111 §5.2.1.4)."""
    directives = headers.get("cache-control", "").lower().split(",")
    return "no-cache" in (directive.strip() for directive in directives)


class TargetValidators:
    """One validator for each audience that callers may ask for."""

    def __init__(self, validators: dict[str, TokenValidator], profile: Profile) -> None:
        self._validators = validators
        self._profile = profile

    async def validate(self, jwt: str, audience: str) -> VerifiedToken:
        """Return the claims of a token for `audience` and nobody else.

        Raises:
            InvalidToken: it is not one.
            TemporarilyUnavailable: the keys could not be fetched.
        """
        token = await self._validators[audience].validate(jwt)
        if token.audience != frozenset({self._profile.target(audience).aud}):
            raise InvalidToken("The token is for more than the audience asked for")
        return token


class Exchange:
    """Gives out tokens for a target: from Redis if there is one, else by the authorization server."""

    def __init__(
        self,
        introspection: Introspection,
        store: DelegationStore,
        server: AuthorizationServer,
        validators: TargetValidators,
        profile: Profile,
        feed: DelegationFeed,
        locks: ReplicaLocks,
        ahead: RefreshAhead,
        *,
        now: Clock,
    ) -> None:
        self._ahead = ahead
        self._introspection = introspection
        self._store = store
        self._server = server
        self._validators = validators
        self._profile = profile
        self._feed = feed
        self._now = now
        self._flights = Flights[Issued](locks)

    async def exchange(self, request: ExchangeRequest, caller: Caller, *, fresh: bool = False) -> Issued:
        """Return a token for the audience, no wider and no longer than the subject token.

        With `fresh` it is another than the one remembered now, which the target has refused; unless that is
        not yet five seconds old, so that a target that refuses everything costs the server no more than that.

        A subject token that is not active is `invalid_grant`, as with every other grant (RFC 6749 §5.2);
        RFC 8693 §2.2.2 has `invalid_request`, which a caller could not tell from a mistake of its own.

        Raises:
            InvalidGrant: the subject token is not active for this caller.
            InvalidTarget: this caller may not have tokens for that audience.
            InvalidScope: the scope is wider than the caller's or the subject's, or nothing is left of it.
            TemporarilyUnavailable: nobody could say.
        """
        caller.require_audience(request.audience)
        if request.scope is not None:
            caller.require_scope(request.scope)
        subject = await self._introspection.subject(request.subject_token, caller)
        if subject is None:
            raise InvalidGrant(DEAD)
        scope = _granted(request, subject, caller)
        actor = caller.client_id if self._profile.exchange.actor == "caller" else None
        wanted = TokenRequest(request.subject_token, request.audience, scope, subject.token.subject, actor)
        refused = await self._remembered(wanted, subject) if fresh else None
        name = _flight(wanted, subject)
        issued = await self._flights.run(
            name + ("|fresh" if fresh else ""),
            lambda: self._recall(wanted, subject, refused=refused),
            lambda: self._obtain(wanted, subject),
        )
        if self._feed.is_revoked(subject.delegation.tag):
            raise InvalidGrant(DEAD, reason="revoked while the exchange was under way")
        # Where the server does not narrow scopes, another caller's limits may have let more pass.
        caller.require_scope(issued.token.scope)
        token = issued.token
        if self._ahead.is_due(
            name,
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            subject_expires_at=subject.expires_at,
        ):
            self._ahead.start(name, lambda: self._obtain(wanted, subject))
        return issued

    async def _remembered(self, request: TokenRequest, subject: Subject) -> str | None:
        entry = exchanged(request.audience, request.scope, request.actor)
        return await self._store.read(subject.delegation, request.subject_token, entry)

    async def _recall(self, request: TokenRequest, subject: Subject, *, refused: str | None) -> Issued | None:
        remembered = await self._remembered(request, subject)
        try:
            issued = None if remembered is None else await self._checked(remembered, request, subject)
        except InvalidToken:
            # It was good when it was kept: a key was withdrawn, or the subject's rights have shrunk.
            return None
        if issued is not None and issued.jwt == refused:
            return issued if self._now() - (issued.token.issued_at or 0) < FRESH_SECONDS else None
        return issued

    async def _obtain(self, request: TokenRequest, subject: Subject) -> Issued:
        jwt = await self._ask(request)
        try:
            issued = await self._checked(jwt, request, subject)
        except InvalidToken as error:
            raise misbehaviour(f"the exchanged token: {error.reason}") from None
        try:
            await self._store.write(
                subject.delegation,
                request.subject_token,
                exchanged(request.audience, request.scope, request.actor),
                jwt,
                expires_at=issued.token.expires_at,
                subject_expires_at=self._profile.believed_until(subject.expires_at, self._now()),
            )
        except AlreadyRevoked:
            raise InvalidGrant(DEAD, reason="revoked while the exchange was under way") from None
        return issued

    async def _ask(self, request: TokenRequest) -> str:
        if self._profile.exchange.adapter == "assertion_7523" and await self._introspection.is_dead(
            request.subject_token
        ):
            # We vouch for the subject, so we must know, not remember.
            raise InvalidGrant(DEAD)
        try:
            return await self._server.exchange(request)
        except InteractionRequired:
            raise
        except InvalidGrant:
            # Redis may still call it active.
            await self._store.forget(request.subject_token)
            raise InvalidGrant(DEAD) from None
        except InvalidRequest:
            # Either the subject token is dead or our request is wrong: introspection tells which.
            if await self._introspection.is_dead(request.subject_token):
                raise InvalidGrant(DEAD) from None
            raise misbehaviour("the exchange was refused as invalid_request for a good token") from None

    async def _checked(self, jwt: str, request: TokenRequest, subject: Subject) -> Issued:
        token = await self._validators.validate(jwt, request.audience)
        problem = _violation(token, request.scope, subject, self._profile, now=self._now())
        if problem is not None:
            raise InvalidToken("The token is wider than its subject", reason=problem)
        return Issued(token, subject.delegation.tag, jwt, min(token.expires_at, subject.expires_at))


def _flight(request: TokenRequest, subject: Subject) -> str:
    """Return what must be equal for two exchanges to be one.

    A waiter can open only what was sealed with its own token, so that is part of it.
    """
    token = fingerprint(request.subject_token)
    entry = exchanged(request.audience, request.scope, request.actor)
    return "|".join((subject.delegation.tag, token, entry))


def _granted(request: ExchangeRequest, subject: Subject, caller: Caller) -> frozenset[str]:
    """Return the scopes to ask for (RFC 8693 §2.1: without `scope`, the server's choice)."""
    scope = common(subject.token.scope, caller.scopes) if request.scope is None else request.scope
    if not scope or not covers(subject.token.scope, scope):
        raise InvalidScope("The scope is wider than the subject token's")
    return scope


def _violation(
    token: VerifiedToken, scope: frozenset[str], subject: Subject, profile: Profile, *, now: int
) -> str | None:
    """Return how the token exceeds its subject or the request, or nothing."""
    relaxed = profile.relaxations
    if token.subject != subject.token.subject:
        return "another subject"
    if not token.scope or not covers(subject.token.scope, token.scope):
        return "no scope, or more than the subject's"
    if not token.scope <= scope and relaxed.scope_not_narrowed is None:
        return "more scope than was asked for"
    if token.expires_at > subject.expires_at and relaxed.outlives_subject is None:
        return "it outlives the subject token"
    if token.expires_at <= now:
        return "it has expired"
    if token.confirmation:
        # Whoever asked has shown no key, here or at the server: nobody could use it (docs/adr/0036).
        return "it is bound to a key that is not its bearer's"
    known, told = subject.token.delegation_id, token.delegation_id
    if None not in (known, told) and known != told and relaxed.delegation_not_carried is None:
        return "another delegation"
    return None
