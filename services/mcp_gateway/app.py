"""The composition root of the gateway."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

import httpx
from fastapi import FastAPI
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from authcore.clock import Clock, monotonic, system_clock
from authcore.http_client import pooled_client
from authcore.redis_client import BoundedRedis, connect
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from mcp_gateway.approvals.assembly import create_approvals
from mcp_gateway.approvals.gate import Gate
from mcp_gateway.guard import Guard
from mcp_gateway.identity import create_identity
from mcp_gateway.limit_buckets import SharedBuckets
from mcp_gateway.limiter import Limiter
from mcp_gateway.limits import Limits
from mcp_gateway.metadata import metadata_routes
from mcp_gateway.server import create_server
from mcp_gateway.server_card import discovery_routes
from mcp_gateway.settings import Settings
from mcp_gateway.tools.tool import Upstream
from mcp_gateway.upstream import StocksApi

MAX_BODY_BYTES = 256 * 1024
EXPOSED_HEADERS = (
    "WWW-Authenticate",
    "Retry-After",
    "DPoP-Nonce",
    "RateLimit",
    "RateLimit-Policy",
    "Mcp-Session-Id",
)
"""What pages of allowed origins may read: where to authorize, when to come back, how much is left."""

Serve = Callable[[Settings, Upstream, Gate | None], StreamableHTTPSessionManager]
"""What is behind the guard."""


def our_tools(settings: Settings, upstream: Upstream, gate: Gate | None) -> StreamableHTTPSessionManager:
    """Return the transport of the gateway's own server: no sessions, so any replica answers any request."""
    return StreamableHTTPSessionManager(
        create_server(
            upstream, version=version("mcp-gateway"), list_step_up=settings.list_step_up, gate=gate
        ),
        # Every tool so far answers once; JSON costs half of what an event stream does (docs/adr/0009).
        json_response=True,
        stateless=True,
        max_request_body_size=MAX_BODY_BYTES,
    )


def create_app(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    now: Clock = system_clock,
    serve: Serve = our_tools,
) -> FastAPI:
    """Return the gateway. In tests `transport` stands in for the network, `serve` for our tools."""
    client = pooled_client(
        timeout_seconds=settings.http_timeout_seconds, transport=transport, ca_file=settings.ca_file
    )
    redis = _redis(settings)
    identity = create_identity(settings, client, redis, now=now)
    # Pools of their own: whoever floods us with unknown tokens fills the broker's, not the API's.
    api_client = pooled_client(
        timeout_seconds=settings.http_timeout_seconds, transport=transport, ca_file=settings.ca_file
    )
    upstream = Upstream(StocksApi(api_client, settings.api_url), settings.api_audience, identity.broker)
    approvals = create_approvals(settings, client, identity.authenticator, redis, now=now)
    sessions = serve(settings, upstream, None if approvals is None else approvals.gate)
    guard = Guard(
        sessions.handle_request,
        identity.authenticator.authenticate,
        identity.authenticator.recheck,
        refusals=identity.refusals,
        hosts=settings.hosts,
        origins=settings.allowed_origins,
        limits=Limits(settings.call_limits),
        limiter=Limiter(
            None if redis is None else SharedBuckets(redis),
            refuse_without_redis=settings.limits_without_redis == "refuse",
            now=monotonic,
        ),
        deadline_seconds=settings.request_deadline_seconds,
    )

    endpoint = _with_cors(guard, settings)
    # One resource, with and without a slash at the end: clients write its URL either way.
    endpoint_paths = {settings.path, settings.path.rstrip("/") + "/"}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if redis is not None:
                stack.push_async_callback(redis.aclose)
            await stack.enter_async_context(client)
            await stack.enter_async_context(api_client)
            if identity.feed is not None:
                redis_url = settings.redis_url.get_secret_value()
                await stack.enter_async_context(identity.feed.listening(redis_url, tls=settings.redis_tls))
            await stack.enter_async_context(sessions.run())
            yield

    app = FastAPI(
        title=settings.resource_name,
        lifespan=lifespan,
        # The MCP SDK makes the span of an MCP request; two of them would be two traces for some agents.
        telemetry=fastapi_telemetry(*endpoint_paths),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        routes=[
            *health_routes({"signing keys": identity.jwks.check}),
            *metadata_routes(settings),
            *(() if approvals is None else approvals.routes),
            *discovery_routes(settings),
            *(Route(path, endpoint) for path in endpoint_paths),
        ],
        # A redirect would answer before the guard, and lead to whatever host the request names.
        redirect_slashes=False,
    )
    app.add_middleware(RequestLimits, max_body_bytes=MAX_BODY_BYTES)
    return app


def _redis(settings: Settings) -> BoundedRedis | None:
    """Return what replicas share, if anything: used proofs, calls that were counted, what users approved."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    return connect(
        url,
        tls=settings.redis_tls,
        timeout_seconds=settings.redis_timeout_seconds,
        max_connections=settings.redis_max_connections,
    )


def _with_cors(guard: ASGIApp, settings: Settings) -> ASGIApp:
    """Let the allowed web pages call with whatever headers, and read what an answer tells in its own."""
    return CORSMiddleware(
        guard,
        allow_origins=sorted(settings.allowed_origins),
        allow_methods=["POST"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )
