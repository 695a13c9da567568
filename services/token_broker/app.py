"""The composition root of the token broker, and its endpoints for tokens."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from opentelemetry import metrics

from authcore.background import in_background
from authcore.client_assertion import ClientAssertionVerifier
from authcore.clock import Clock, system_clock, system_milliseconds
from authcore.delegation_feed import DelegationFeed
from authcore.forms import MAX_FORM_BYTES, read_form
from authcore.http_client import pooled_client
from authcore.jwks import JwksClient
from authcore.redis_client import BoundedRedis, connect
from authcore.replay_guard import ReplayGuard
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from token_broker import operator_endpoints, revocation_endpoints
from token_broker.announcements import Announcements
from token_broker.client_auth import ClientAuthentication
from token_broker.cluster import cluster_client, service_accounts
from token_broker.delegation_list import DelegationList
from token_broker.delegations import CacheResult, DelegationStore
from token_broker.exchange import Exchange, exchange_response, parse_exchange, wants_fresh
from token_broker.introspection import Introspection, introspection_response
from token_broker.openapi import DESCRIPTION, INTROSPECT, TITLE, TOKEN
from token_broker.profiles import load_profile
from token_broker.refresh_ahead import RefreshAhead
from token_broker.refusals import add_refusals
from token_broker.revocation import PushedEvents, Revocation
from token_broker.sealing import Sealer
from token_broker.sealing_ring import LivingRing
from token_broker.service_accounts import ServiceAccounts
from token_broker.settings import Settings
from token_broker.single_flight import ReplicaLocks
from token_broker.state import Broker, State, broker_of
from token_broker.upstream import Upstream, caller_of

DEAF_AFTER_SECONDS = 3.0
LOCK_MARGIN_SECONDS = 1.0
"""What a replica may need besides the authorization server's answer."""

router = APIRouter()


@router.post("/introspect", **INTROSPECT)
async def introspect(request: Request) -> Response:
    """Say whether a token is active for this caller, and what it stands for (RFC 7662)."""
    broker = broker_of(request)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    subject = await broker.introspection.subject(form.require("token"), caller)
    return introspection_response(subject, request.headers.get("accept", ""))


@router.post("/token", **TOKEN)
async def token(request: Request) -> Response:
    """Exchange a subject token for one that is good at one audience (RFC 8693)."""
    broker = broker_of(request)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    issued = await broker.exchange.exchange(parse_exchange(form), caller, fresh=wants_fresh(request.headers))
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
    client = pooled_client(
        timeout_seconds=settings.http_timeout_seconds, transport=transport, ca_file=settings.ca_file
    )
    cluster = cluster_client(settings, transport)
    redis = redis or connect(
        settings.redis_url.get_secret_value(),
        tls=settings.redis_tls,
        timeout_seconds=settings.redis_timeout_seconds,
        max_connections=settings.redis_max_connections,
    )
    jwks = JwksClient(client, settings.jwks_uri, now=now)
    feed = DelegationFeed(deaf_after_seconds=DEAF_AFTER_SECONDS)
    locks = ReplicaLocks(redis, deadline_seconds=settings.http_deadline_seconds + LOCK_MARGIN_SECONDS)
    ring = LivingRing(settings.sealing_key.get_secret_value(), settings.sealing_key_file, now=now)
    ahead = RefreshAhead(
        locks,
        ahead_seconds=settings.refresh_ahead_seconds,
        leeway_seconds=settings.cache_leeway_seconds,
        deadline_seconds=settings.http_deadline_seconds + LOCK_MARGIN_SECONDS,
        now=now,
    )
    first_use = ReplayGuard(redis, "j", now=now).first_use
    workloads = service_accounts(settings, cluster, first_use, now=now)
    verifier = ClientAssertionVerifier(frozenset({settings.url}), now=now, first_use=first_use)
    broker = _broker(settings, client, redis, ring.sealer, jwks, feed, locks, ahead, verifier, workloads, now)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            await stack.enter_async_context(client)
            await stack.enter_async_context(cluster)
            for listener in (feed, locks):
                url = settings.redis_url.get_secret_value()
                await stack.enter_async_context(listener.listening(url, tls=settings.redis_tls))
            announcing = in_background(broker.revocation.keep_announcing(), "heartbeats")
            await stack.enter_async_context(announcing)
            await stack.enter_async_context(in_background(ring.keep_current(), "sealing keys"))
            await stack.enter_async_context(ahead.running())
            yield {"broker": broker}

    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=version("token-broker"),
        lifespan=lifespan,
        telemetry=fastapi_telemetry(),
        # The pages that show it would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=list(health_routes({"redis": redis.check, "signing keys": jwks.check})),
    )
    app.include_router(router)
    app.include_router(revocation_endpoints.router)
    app.include_router(operator_endpoints.router)
    add_refusals(app)
    app.add_middleware(RequestLimits, max_body_bytes=MAX_FORM_BYTES)
    return app


def _broker(
    settings: Settings,
    client: httpx.AsyncClient,
    redis: BoundedRedis,
    sealer: Sealer,
    jwks: JwksClient,
    feed: DelegationFeed,
    locks: ReplicaLocks,
    ahead: RefreshAhead,
    verifier: ClientAssertionVerifier,
    workloads: ServiceAccounts | None,
    now: Clock,
) -> Broker:
    profile = load_profile(settings.profile)
    callers = {name: caller_of(name, caller, profile) for name, caller in settings.callers.items()}
    store = DelegationStore(
        redis,
        sealer,
        now=now,
        leeway_seconds=settings.cache_leeway_seconds,
        tombstone_seconds=settings.tombstone_seconds,
        count=_cache_counter(),
        replicas=settings.redis_revocation_replicas,
    )
    upstream = Upstream(settings, profile, client, jwks, now=now)
    subjects = upstream.subjects(callers.values())
    introspection = Introspection(store, subjects, profile, feed, locks, now=now)
    targets = upstream.targets(callers.values())
    announcements = Announcements(
        redis,
        now=system_milliseconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        replicas=settings.redis_revocation_replicas,
    )
    revocation = Revocation(store, announcements, heartbeat_seconds=settings.heartbeat_seconds)
    return Broker(
        clients=ClientAuthentication(callers, verifier, workloads),
        introspection=introspection,
        exchange=Exchange(
            introspection, store, upstream.server, targets, profile, feed, locks, ahead, now=now
        ),
        revocation=revocation,
        pushed_events=PushedEvents(upstream.events(), revocation, redis),
        delegations=DelegationList(redis, now=now),
        now=now,
    )


def _cache_counter() -> Callable[[CacheResult], None]:
    counter = metrics.get_meter("token_broker").create_counter(
        "delegant.cache.requests", description="Look-ups of cached tokens"
    )

    def count(result: CacheResult) -> None:
        counter.add(1, {"level": "redis", "result": result})

    return count
