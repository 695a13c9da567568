"""Introspection of access tokens (RFC 7662): from an opaque token to the JWT that stands for it."""

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from authcore.bearer import MAX_BEARER_BYTES
from authcore.claims import VerifiedToken, format_scope
from authcore.clock import Clock
from authcore.delegation_feed import DelegationFeed
from authcore.errors import InvalidToken
from authcore.oauth2_types import DELEGATION_TAG_HEADER, MEDIA_TYPE_JWT, NO_STORE, WireModel
from token_broker.client_auth import Caller
from token_broker.delegations import PHANTOM, AlreadyRevoked, DelegationStore
from token_broker.inactive_tokens import InactiveTokens
from token_broker.profiles import Profile
from token_broker.sealing import fingerprint
from token_broker.single_flight import Flights, ReplicaLocks
from token_broker.subjects import Subject, SubjectSource

INACTIVE = "The token is not active"


class Introspection:
    """Says what a token stands for: from Redis if it is known there, else by the authorization server."""

    def __init__(
        self,
        store: DelegationStore,
        source: SubjectSource,
        profile: Profile,
        feed: DelegationFeed,
        locks: ReplicaLocks,
        *,
        now: Clock,
    ) -> None:
        self._store = store
        self._source = source
        self._profile = profile
        self._feed = feed
        self._now = now
        self._inactive = InactiveTokens(now=now)
        self._flights = Flights[Subject](locks)

    async def subject(self, token: str, caller: Caller) -> Subject | None:
        """Return the token's subject, or `None` when it is not active *for this caller* (RFC 7662 §2.2, §4).

        Raises:
            TemporarilyUnavailable: nobody could say.
        """
        if len(token) > MAX_BEARER_BYTES:
            return None
        try:
            subject = await self._flights.run(
                fingerprint(token), lambda: self._recall(token), lambda: self._ask(token)
            )
        except InvalidToken:
            return None
        if not subject.token.audience & caller.resource:
            return None
        if self._feed.is_revoked(subject.delegation.tag):
            # The look-up was shared with somebody who had begun it before the revocation.
            return None
        return subject if subject.expires_at > self._now() else None

    async def is_dead(self, token: str) -> bool:
        """Tell whether the authorization server calls the token inactive now, whatever Redis remembers.

        Raises:
            TemporarilyUnavailable: it did not say.
        """
        if await self._source.active(token):
            return False
        await self._store.forget(token)
        return True

    async def _recall(self, token: str) -> Subject | None:
        found = await self._store.find(token)
        if found is None:
            return None
        if found.revoked:
            raise InvalidToken(INACTIVE, reason="its delegation was revoked")
        kept = found.phantom
        return None if kept is None else await self._source.recall(kept, token, found.tag)

    async def _ask(self, token: str) -> Subject:
        if self._inactive.holds(token):
            raise InvalidToken(INACTIVE, reason="called inactive a moment ago")
        subject = await self._source.ask(token)
        if subject is None:
            self._inactive.add(token)
            await self._store.forget(token)
            raise InvalidToken(INACTIVE)
        try:
            await self._store.write(
                subject.delegation,
                token,
                PHANTOM,
                self._source.keep(subject),
                expires_at=subject.expires_at,
                subject_expires_at=self._profile.believed_until(subject.expires_at, self._now()),
                whose=subject.token,
            )
        except AlreadyRevoked:
            raise InvalidToken(INACTIVE, reason="revoked while it was asked about") from None
        return subject


class IntrospectionResponse(WireModel):
    """RFC 7662 §2.2, with the context claims of the token."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    token_type: str | None = None
    sub: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    exp: int | None = None
    iat: int | None = None
    jti: str | None = None
    act: dict[str, Any] | None = None
    cnf: dict[str, str] | None = None
    delegationId: str | None = None  # noqa: N815  the claim's name
    region: str | None = None
    client_type: str | None = None
    client_assurance_level: int | None = None
    purpose: str | None = None


def introspection_response(subject: Subject | None, accept: str) -> Response:
    """Return what the `Accept` header asks for.

    With `application/jwt`: the JWT itself, or 204 for a token that is not active. Else JSON (RFC 7662 §2.2).
    """
    if wants_jwt(accept):
        if subject is None:
            return Response(status_code=204, headers=NO_STORE)
        return Response(subject.jwt, media_type=MEDIA_TYPE_JWT, headers=_headers(subject))
    document = IntrospectionResponse(active=False) if subject is None else _described(subject.token)
    return JSONResponse(document.document(), headers=_headers(subject))


def _headers(subject: Subject | None) -> dict[str, str]:
    tag = {} if subject is None else {DELEGATION_TAG_HEADER: subject.delegation.tag}
    return NO_STORE | tag


def wants_jwt(accept: str) -> bool:
    """Tell whether `application/jwt` is named and JSON is not preferred to it (RFC 9110 §12.5.1)."""
    weights: dict[str, float] = {}
    for media_range in accept.split(","):
        name, *parameters = (part.strip().lower() for part in media_range.split(";"))
        weights[name] = _weight(parameters)
    weight = weights.get(MEDIA_TYPE_JWT, 0.0)
    return weight > 0 and weight >= weights.get("application/json", 0.0)


def _weight(parameters: list[str]) -> float:
    quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return float(quality)
    except ValueError:
        return 0.0


def _described(token: VerifiedToken) -> IntrospectionResponse:
    actors: dict[str, Any] | None = None
    for actor in reversed(token.actors):
        actors = {"sub": actor} | ({"act": actors} if actors else {})
    audience = sorted(token.audience)
    return IntrospectionResponse(
        active=True,
        scope=format_scope(token.scope),
        client_id=token.client_id,
        token_type="DPoP" if "jkt" in token.confirmation else "Bearer",  # RFC 9449 §6.2
        sub=token.subject,
        aud=audience[0] if len(audience) == 1 else audience,
        iss=token.issuer,
        exp=token.expires_at,
        iat=token.issued_at,
        jti=token.token_id,
        act=actors,
        cnf=dict(token.confirmation) or None,
        delegationId=token.delegation_id,
        region=token.context.region,
        client_type=token.context.client_type,
        client_assurance_level=token.context.client_assurance_level,
        purpose=token.context.purpose,
    )
