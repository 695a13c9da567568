"""The composition root of the development authorization server."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import aiosqlite
import httpx
from fastapi import FastAPI

from authcore.clock import Clock, system_clock
from authcore.http_client import pooled_client
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from authserver import endpoints, event_delivery
from authserver.access_tokens import AccessTokens
from authserver.active_tokens import ActiveTokens
from authserver.authorization_codes import AuthorizationCodes
from authserver.authorization_requests import AuthorizationRequests
from authserver.background import every, in_background
from authserver.client_auth import AssertionReplays, ClientAuthenticator
from authserver.client_directory import ClientDirectory
from authserver.client_documents import ClientDocuments
from authserver.clients import configured_clients
from authserver.consents import Consents
from authserver.counters import Counters
from authserver.database import Database, open_database
from authserver.delegations import Delegations
from authserver.dpop import DPoPProofs
from authserver.endpoints import Endpoints
from authserver.event_delivery import Backoff, EventDelivery
from authserver.event_outbox import EventOutbox
from authserver.identity_assertions import IdentityAssertions
from authserver.inbox import Inbox
from authserver.keys import SigningKeys, load_secret
from authserver.one_time_passwords import OneTimePasswords
from authserver.pages import Pages
from authserver.policy import POLICY, Policy
from authserver.public_fetch import PublicFetcher, Resolver, document_transport, system_resolver
from authserver.pushed_requests import PushedRequests
from authserver.rate_limits import RateLimit
from authserver.refresh_tokens import RefreshTokens
from authserver.refusals import add_refusals
from authserver.registered_clients import RegisteredClients
from authserver.routes import routes
from authserver.schema import sweep
from authserver.sessions import Sessions
from authserver.settings import Settings
from authserver.state import Server, State
from authserver.users import Users

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024
SWEEP_SECONDS: Final = 60
TEND_KEYS_SECONDS: Final = 1


def create_app(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    resolver: Resolver = system_resolver,
    now: Clock = system_clock,
    policy: Policy = POLICY,
    backoff: Backoff | None = None,
) -> FastAPI:
    """Return the server.

    Args:
        settings: what its environment says.
        transport: stands in for the network in tests.
        resolver: stands in for DNS in tests.
        now: the clock.
        policy: what scopes mean.
        backoff: how long an event receiver that is away is left alone.
    """
    where = Endpoints(settings.issuer)
    fetcher = PublicFetcher(
        transport or document_transport(settings.cimd_ca_file),
        resolver,
        allow_loopback=settings.cimd_allow_loopback,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(fetcher.aclose)
            database = await stack.enter_async_context(open_database(settings.state_path))
            sweeping = every(SWEEP_SECONDS, partial(_throw_away, database, now))
            await stack.enter_async_context(in_background("sweeping", sweeping))
            outbox = EventOutbox(database, settings.event_receivers)
            client = await stack.enter_async_context(
                pooled_client(timeout_seconds=event_delivery.TIMEOUT_SECONDS, transport=transport)
            )
            server = await _build(settings, where, database, fetcher, client, outbox, now=now, policy=policy)
            tending = every(TEND_KEYS_SECONDS, server.keys.tend)
            await stack.enter_async_context(in_background("key rotation", tending))
            for receiver in settings.event_receivers:
                delivery = EventDelivery(
                    receiver,
                    outbox,
                    server.keys,
                    client,
                    issuer=where.issuer,
                    now=now,
                    backoff=backoff or Backoff(),
                )
                await stack.enter_async_context(in_background(f"events to {receiver.url}", delivery.run))
            logger.warning(
                "DEVELOPMENT authorization server, never for production: issuer %s, mails at %s",
                settings.issuer,
                endpoints.INBOX,
            )
            yield {"server": server}

    app = FastAPI(
        title="Development authorization server",
        lifespan=lifespan,
        telemetry=fastapi_telemetry(),
        openapi_url=None,
        redirect_slashes=False,
        routes=[*routes(where), *health_routes({})],
    )
    add_refusals(app)
    app.add_middleware(RequestLimits, max_body_bytes=MAX_BODY_BYTES)
    return app


async def _build(
    settings: Settings,
    where: Endpoints,
    database: Database,
    fetcher: PublicFetcher,
    client: httpx.AsyncClient,
    outbox: EventOutbox,
    *,
    now: Clock,
    policy: Policy,
) -> Server:
    keys = SigningKeys(
        database,
        algorithm=settings.signing_algorithm,
        publish_ahead_seconds=settings.key_publish_ahead_seconds,
        rotation_seconds=settings.key_rotation_seconds,
        now=now,
    )
    await keys.start()
    users = Users(settings.users, await load_secret(database, "subjects"))
    registered = RegisteredClients(database, audience=settings.mcp_resource)
    clients = ClientDirectory(
        configured_clients(settings.clients, mcp_resource=settings.mcp_resource),
        registered,
        ClientDocuments(fetcher, policy, audience=settings.mcp_resource, now=now),
    )
    replays = AssertionReplays(database)
    delegations, access_tokens = Delegations(database, outbox), AccessTokens(database)
    return Server(
        settings=settings,
        where=where,
        policy=policy,
        now=now,
        database=database,
        keys=keys,
        users=users,
        clients=clients,
        registered_clients=registered,
        client_auth=ClientAuthenticator(
            clients,
            replays,
            limit=RateLimit(settings.client_requests_per_minute, now=now),
            audience=frozenset({where.issuer, *map(where.url, endpoints.FOR_CLIENTS)}),
            now=now,
        ),
        registration_limit=RateLimit(settings.registrations_per_minute, now=now),
        login_limit=RateLimit(settings.logins_per_minute, now=now),
        dpop=DPoPProofs(replays.first_use, now=now),
        identity_assertions=None
        if settings.identity_provider is None
        else IdentityAssertions(
            settings.identity_provider, client, users, replays.first_use, issuer=where.issuer, now=now
        ),
        sessions=Sessions(
            database, lifetime_seconds=settings.session_lifetime_seconds, secure=where.secure, now=now
        ),
        one_time_passwords=OneTimePasswords(database),
        inbox=Inbox(database),
        consents=Consents(database),
        requests=AuthorizationRequests(database),
        pushed_requests=PushedRequests(database),
        codes=AuthorizationCodes(database),
        delegations=delegations,
        access_tokens=access_tokens,
        refresh_tokens=RefreshTokens(database),
        active_tokens=ActiveTokens(
            access_tokens,
            delegations,
            users,
            keys,
            issuer=where.issuer,
            audiences=frozenset({settings.mcp_resource, *settings.api_audiences}),
            now=now,
        ),
        pages=Pages(where),
        counters=Counters(),
    )


async def _throw_away(database: Database, now: Clock) -> None:
    try:
        await sweep(database, now())
    except aiosqlite.Error:
        logger.exception("expired rows could not be thrown away")
