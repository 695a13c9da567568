"""The authorization server as its profile describes it: everything that depends on the product, composed."""

import json
from collections.abc import Collection

import httpx

from authcore.client_assertion import ClientAssertionSigner, StaticKeys
from authcore.clock import Clock
from authcore.jwks import JwksClient, parse_key_set
from authcore.security_events import SecurityEventVerifier
from authcore.validator import TokenProfile, TokenValidator
from authcore.verified_tokens import VERIFIED_TOKENS
from token_broker.adapters.assertion_7523 import OwnAssertion
from token_broker.adapters.entra_obo import EntraOnBehalfOf
from token_broker.adapters.rfc8693 import ActorTokens, Rfc8693
from token_broker.adapters.token_request import Adapter, Wording
from token_broker.authorization_server import AuthorizationServer
from token_broker.client_auth import Caller
from token_broker.credentials import Prove, by_assertion, by_basic, by_post
from token_broker.descriptions import DescribedSubjects
from token_broker.exchange import TargetValidators
from token_broker.profiles import Profile
from token_broker.settings import CallerSettings, Settings, private_jwk
from token_broker.subjects import PhantomSubjects, PresentedSubjects, SubjectSource

INTROSPECTION_TYPES = frozenset({"token-introspection+jwt"})


class Upstream:
    """One authorization server: its client, and the checks of what it says."""

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        client: httpx.AsyncClient,
        jwks: JwksClient,
        *,
        now: Clock,
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._jwks = jwks
        self._now = now
        self.server = AuthorizationServer(
            client,
            _prove(settings, profile, now),
            _adapter(settings, profile, now),
            introspection_endpoint=settings.introspection_endpoint,
            token_endpoint=settings.token_endpoint,
            deadline_seconds=settings.http_deadline_seconds,
        )

    def subjects(self, callers: Collection[Caller]) -> SubjectSource:
        """Return the way to learn what a token stands for, for the resources of these callers."""
        introspection = self._profile.introspection
        validator = self._validator(frozenset[str]().union(*(caller.resource for caller in callers)))
        match introspection.mode:
            case "phantom_204" | "json_jwt_field":
                return PhantomSubjects(self.server, validator, introspection)
            case "local_jwt":
                return PresentedSubjects(self.server if introspection.activity else None, validator)
            case "json" | "rfc9701":
                resources = self._resources()
                signed = introspection.mode == "rfc9701"
                return DescribedSubjects(
                    self.server,
                    validator,
                    self._profile,
                    resources=resources,
                    statements=self._statements(frozenset(resources)) if signed else None,
                    now=self._now,
                )

    def targets(self, callers: Collection[Caller]) -> TargetValidators:
        """Return the validators of tokens for the audiences of these callers."""
        audiences = frozenset[str]().union(*(caller.audiences for caller in callers))
        validators = {
            audience: self._validator(frozenset({self._profile.target(audience).aud}))
            for audience in audiences
        }
        return TargetValidators(validators, self._profile)

    def events(self) -> SecurityEventVerifier:
        """Return the verifier of security events that the server pushes to us."""
        return SecurityEventVerifier(
            self._jwks,
            issuer=self._settings.issuer,
            audience=self._settings.url,
            algorithms=self._profile.tokens.algorithms,
            clock_skew_seconds=self._settings.clock_skew_seconds,
            now=self._now,
        )

    def _resources(self) -> dict[str, str]:
        names = {caller.resource for caller in self._settings.callers.values() if caller.resource}
        return {aud: name for name in names for aud in resource_audiences(name, self._profile)}

    def _validator(self, audience: frozenset[str]) -> TokenValidator:
        accepted = self._accepted(audience, self._profile.accepted_types)
        # The same tokens are read from Redis again and again.
        return TokenValidator(accepted, self._jwks, now=self._now, remembered=VERIFIED_TOKENS)

    def _statements(self, resources: frozenset[str]) -> TokenValidator:
        # RFC 9701 §5 addresses a statement to whoever asks; some products name the token's audience instead.
        accepted = self._accepted(resources | {self._settings.client_id}, INTROSPECTION_TYPES)
        return TokenValidator(accepted, self._jwks, now=self._now)

    def _accepted(self, audience: frozenset[str], types: frozenset[str] | None) -> TokenProfile:
        return TokenProfile(
            issuer=self._settings.issuer,
            audience=audience,
            algorithms=self._profile.tokens.algorithms,
            token_types=types,
            clock_skew_seconds=self._settings.clock_skew_seconds,
            claim_names=self._profile.claim_names,
        )


def resource_audiences(resource: str, profile: Profile) -> frozenset[str]:
    """Return what tokens for a resource have in `aud`."""
    aud = profile.target(resource).aud
    # One resource, with and without a trailing slash: clients write its URL either way.
    return frozenset({aud.rstrip("/"), aud.rstrip("/") + "/"})


def caller_of(client_id: str, settings: CallerSettings, profile: Profile) -> Caller:
    """Return the caller that the settings describe."""
    return Caller(
        client_id=client_id,
        keys=StaticKeys(list(parse_key_set(json.dumps(settings.jwks).encode())) if settings.jwks else []),
        resource=resource_audiences(settings.resource, profile) if settings.resource else frozenset(),
        audiences=settings.audiences,
        scopes=settings.scopes,
        rights=settings.rights,
    )


def _prove(settings: Settings, profile: Profile, now: Clock) -> Prove:
    secret = settings.client_secret.get_secret_value()
    match profile.client.authentication:
        case "private_key_jwt":
            signer = ClientAssertionSigner(settings.client_id, private_jwk(settings.client_key), now=now)
            return by_assertion(signer, _assertion_audience(settings, profile))
        case "client_secret_basic":
            return by_basic(settings.client_id, secret)
        case "client_secret_post":
            return by_post(settings.client_id, secret)


def _adapter(settings: Settings, profile: Profile, now: Clock) -> Adapter:
    wording = Wording(profile.exchange, profile.target)
    match profile.exchange.adapter:
        case "rfc8693":
            return Rfc8693(wording, _actor_tokens(settings, profile, now))
        case "entra_obo":
            return EntraOnBehalfOf(wording)
        case "assertion_7523":
            # The issuer the server is told to trust is this broker, not one of its clients.
            signer = ClientAssertionSigner(settings.url, private_jwk(settings.assertion_key), now=now)
            audience = _assertion_audience(settings, profile) or settings.token_endpoint
            return OwnAssertion(wording, signer, audience)


def _actor_tokens(settings: Settings, profile: Profile, now: Clock) -> ActorTokens | None:
    if profile.exchange.actor == "none":
        return None
    signer = ClientAssertionSigner(settings.client_id, private_jwk(settings.client_key), now=now)
    return ActorTokens(signer, _assertion_audience(settings, profile) or settings.token_endpoint)


def _assertion_audience(settings: Settings, profile: Profile) -> str | None:
    """Return the one audience of assertions, or nothing if it is the endpoint that is called."""
    audiences = {"issuer": settings.issuer, "token_endpoint": settings.token_endpoint}
    return audiences.get(profile.client.assertion_audience)
