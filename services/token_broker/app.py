"""The composition root of the token broker, and its two endpoints."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict, cast

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from opentelemetry import metrics

from authcore.claims import ClaimNames
from authcore.client_assertion import ClientAssertionSigner, ClientAssertionVerifier, StaticKeys
from authcore.clock import Clock, system_clock
from authcore.forms import MAX_FORM_BYTES, read_form
from authcore.http_client import pooled_client
from authcore.jwks import JwksClient, parse_key_set
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from authcore.validator import TokenProfile, TokenValidator
from token_broker.authorization_server import AuthorizationServer
from token_broker.client_auth import Caller, ClientAuthentication, ReplayGuard
from token_broker.delegations import CacheResult, DelegationStore
from token_broker.exchange import Exchange, TargetValidators, exchange_response, parse_exchange
from token_broker.introspection import Introspection, introspection_response
from token_broker.redis_client import BoundedRedis, connect
from token_broker.refusals import add_refusals
from token_broker.sealing import Sealer, parse_ring
from token_broker.settings import CallerSettings, Settings, private_jwk

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Broker:
    """The parts that endpoints use."""

    clients: ClientAuthentication
    introspection: Introspection
    exchange: Exchange
    now: Clock


class State(TypedDict):
    """What the application's lifespan gives every request."""

    broker: Broker


@router.post("/introspect")
async def introspect(request: Request) -> Response:
    """Say whether a token is active for this caller, and what it stands for (RFC 7662)."""
    broker = cast(Broker, request.state.broker)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    subject = await broker.introspection.subject(form.require("token"), caller)
    return introspection_response(subject, request.headers.get("accept", ""))


@router.post("/token")
async def token(request: Request) -> Response:
    """Exchange a subject token for one that is good at one audience (RFC 8693)."""
    broker = cast(Broker, request.state.broker)
    form = await read_form(request)
    caller = await broker.clients.authenticate(request, form)
    issued = await broker.exchange.exchange(parse_exchange(form), caller)
    return exchange_response(issued, now=broker.now())


def create_app(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, now: Clock = system_clock
) -> FastAPI:
    """Return the broker. `transport` stands in for the network to the authorization server in tests."""
    client = pooled_client(timeout_seconds=settings.http_timeout_seconds, transport=transport)
    redis = connect(
        settings.redis_url.get_secret_value(),
        timeout_seconds=settings.redis_timeout_seconds,
        max_connections=settings.redis_max_connections,
    )
    jwks = JwksClient(client, settings.jwks_uri, now=now)
    broker = _broker(settings, client, redis, jwks, now)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(redis.aclose)
            await stack.enter_async_context(client)
            yield {"broker": broker}

    app = FastAPI(
        title="Token broker",
        lifespan=lifespan,
        telemetry=fastapi_telemetry(),
        openapi_url=None,
        redirect_slashes=False,
        routes=list(health_routes({"redis": redis.check, "signing keys": jwks.check})),
    )
    app.include_router(router)
    add_refusals(app)
    app.add_middleware(RequestLimits, max_body_bytes=MAX_FORM_BYTES)
    return app


def _broker(
    settings: Settings, client: httpx.AsyncClient, redis: BoundedRedis, jwks: JwksClient, now: Clock
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
    introspection = Introspection(store, server, validator(resources), sealer, now=now)
    targets = TargetValidators({audience: validator(frozenset({audience})) for audience in audiences})
    verifier = ClientAssertionVerifier(
        frozenset({settings.url}), now=now, first_use=ReplayGuard(redis, now=now).first_use
    )
    return Broker(
        clients=ClientAuthentication(callers, verifier),
        introspection=introspection,
        exchange=Exchange(introspection, store, server, targets, now=now),
        now=now,
    )


def _caller(client_id: str, settings: CallerSettings) -> Caller:
    bare = settings.resource.rstrip("/")
    return Caller(
        client_id=client_id,
        keys=StaticKeys(list(parse_key_set(json.dumps(settings.jwks).encode()))),
        # One resource, with and without a trailing slash: clients write its URL either way.
        resource=frozenset({bare, bare + "/"}),
        audiences=settings.audiences,
        scopes=settings.scopes,
    )


def _cache_counter() -> Callable[[CacheResult], None]:
    counter = metrics.get_meter("token_broker").create_counter(
        "delegant.cache.requests", description="Look-ups of cached tokens"
    )

    def count(result: CacheResult) -> None:
        counter.add(1, {"level": "redis", "result": result})

    return count
