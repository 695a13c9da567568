"""The composition root of the token broker, and its endpoints for tokens."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from opentelemetry import metrics

from authcore.background import in_background
from authcore.claims import ClaimNames
from authcore.client_assertion import ClientAssertionSigner, ClientAssertionVerifier, StaticKeys
from authcore.clock import Clock, system_clock, system_milliseconds
from authcore.delegation_feed import DelegationFeed
from authcore.forms import MAX_FORM_BYTES, read_form
from authcore.http_client import pooled_client
from authcore.jwks import JwksClient, parse_key_set
from authcore.redis_client import BoundedRedis, connect
from authcore.security_events import SecurityEventVerifier
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from authcore.validator import TokenProfile, TokenValidator
from token_broker import revocation_endpoints
from token_broker.announcements import Announcements
from token_broker.authorization_server import AuthorizationServer
from token_broker.client_auth import Caller, ClientAuthentication, ReplayGuard
from token_broker.delegations import CacheResult, DelegationStore
from token_broker.exchange import Exchange, TargetValidators, exchange_response, parse_exchange
from token_broker.introspection import Introspection, introspection_response
from token_broker.refusals import add_refusals
from token_broker.revocation import PushedEvents, Revocation
from token_broker.sealing import Sealer, parse_ring
from token_broker.settings import CallerSettings, Settings, private_jwk
from token_broker.single_flight import ReplicaLocks
from token_broker.state import Broker, State, broker_of

DEAF_AFTER_SECONDS = 3.0
LOCK_MARGIN_SECONDS = 1.0
"""What a replica may need besides the authorization server's answer."""

router = APIRouter()


@router.post("/introspect")
async def introspect(request: Request) -> Response:
    """Say whether a token is active for this caller, and what it stands for (RFC 7662)."""
    broker = broker_of(request)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    subject = await broker.introspection.subject(form.require("token"), caller)
    return introspection_response(subject, request.headers.get("accept", ""))


@router.post("/token")
async def token(request: Request) -> Response:
    """Exchange a subject token for one that is good at one audience (RFC 8693)."""
    broker = broker_of(request)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    issued = await broker.exchange.exchange(parse_exchange(form), caller)
    return exchange_response(issued, now=broker.now())


def create_app(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    redis: BoundedRedis | None = None,
    now: Clock = system_clock,
) -> FastAPI:
    """Return the broker.

    Args:
        settings: what it is told.
        transport: stands in for the network to the authorization server in tests.
        redis: stands in for the connection to Redis in tests; it is closed with the application.
        now: the clock.
    """
    client = pooled_client(timeout_seconds=settings.http_timeout_seconds, transport=transport)
    redis = redis or connect(
        settings.redis_url.get_secret_value(),
        timeout_seconds=settings.redis_timeout_seconds,
        max_connections=settings.redis_max_connections,
    )
    jwks = JwksClient(client, settings.jwks_uri, now=now)
    feed = DelegationFeed(deaf_after_seconds=DEAF_AFTER_SECONDS)
    locks = ReplicaLocks(redis, deadline_seconds=settings.http_deadline_seconds + LOCK_MARGIN_SECONDS)
    broker = _broker(settings, client, redis, jwks, feed, locks, now)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            await stack.enter_async_context(client)
            for listener in (feed, locks):
                await stack.enter_async_context(listener.listening(settings.redis_url.get_secret_value()))
            announcing = in_background(broker.revocation.keep_announcing(), "heartbeats")
            await stack.enter_async_context(announcing)
            yield {"broker": broker}

    app = FastAPI(
        title="Token broker",
        lifespan=lifespan,
        telemetry=fastapi_telemetry(),
        openapi_url=None,
        routes=list(health_routes({"redis": redis.check, "signing keys": jwks.check})),
    )
    app.include_router(router)
    app.include_router(revocation_endpoints.router)
    add_refusals(app)
    app.add_middleware(RequestLimits, max_body_bytes=MAX_FORM_BYTES)
    return app


def _broker(
    settings: Settings,
    client: httpx.AsyncClient,
    redis: BoundedRedis,
    jwks: JwksClient,
    feed: DelegationFeed,
    locks: ReplicaLocks,
    now: Clock,
) -> Broker:
    callers = {name: _caller(name, caller) for name, caller in settings.callers.items()}
    sealer = Sealer(parse_ring(settings.sealing_key.get_secret_value()))
    signer = ClientAssertionSigner(settings.client_id, private_jwk(settings.client_key), now=now)
    server = AuthorizationServer(
        client,
        signer,
        issuer=settings.issuer,
        introspection_endpoint=settings.introspection_endpoint,
        token_endpoint=settings.token_endpoint,
        deadline_seconds=settings.http_deadline_seconds,
    )
    store = DelegationStore(
        redis,
        sealer,
        now=now,
        leeway_seconds=settings.cache_leeway_seconds,
        tombstone_seconds=settings.tombstone_seconds,
        count=_cache_counter(),
    )

    def validator(audience: frozenset[str]) -> TokenValidator:
        profile = TokenProfile(
            issuer=settings.issuer,
            audience=audience,
            algorithms=settings.signing_algorithms,
            token_types=frozenset(kind.lower() for kind in settings.token_types),
            clock_skew_seconds=settings.clock_skew_seconds,
            claim_names=ClaimNames(delegation=settings.delegation_claims),
        )
        return TokenValidator(profile, jwks, now=now)

    resources = frozenset[str]().union(*(caller.resource for caller in callers.values()))
    audiences = frozenset[str]().union(*(caller.audiences for caller in callers.values()))
    introspection = Introspection(store, server, validator(resources), sealer, feed, locks, now=now)
    targets = TargetValidators({audience: validator(frozenset({audience})) for audience in audiences})
    verifier = ClientAssertionVerifier(
        frozenset({settings.url}), now=now, first_use=ReplayGuard(redis, now=now).first_use
    )
    revocation = Revocation(
        store,
        Announcements(redis, now=system_milliseconds, heartbeat_seconds=settings.heartbeat_seconds),
        heartbeat_seconds=settings.heartbeat_seconds,
    )
    events = SecurityEventVerifier(
        jwks,
        issuer=settings.issuer,
        audience=settings.url,
        algorithms=settings.signing_algorithms,
        clock_skew_seconds=settings.clock_skew_seconds,
        now=now,
    )
    return Broker(
        clients=ClientAuthentication(callers, verifier),
        introspection=introspection,
        exchange=Exchange(introspection, store, server, targets, feed, locks, now=now),
        revocation=revocation,
        pushed_events=PushedEvents(events, revocation, redis),
        now=now,
    )


def _caller(client_id: str, settings: CallerSettings) -> Caller:
    bare = settings.resource.rstrip("/")
    return Caller(
        client_id=client_id,
        keys=StaticKeys(list(parse_key_set(json.dumps(settings.jwks).encode()))),
        # One resource, with and without a trailing slash: clients write its URL either way.
        resource=frozenset({bare, bare + "/"}) if bare else frozenset(),
        audiences=settings.audiences,
        scopes=settings.scopes,
        operator=settings.operator,
    )


def _cache_counter() -> Callable[[CacheResult], None]:
    counter = metrics.get_meter("token_broker").create_counter(
        "delegant.cache.requests", description="Look-ups of cached tokens"
    )

    def count(result: CacheResult) -> None:
        counter.add(1, {"level": "redis", "result": result})

    return count
