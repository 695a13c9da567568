"""The composition root of the development authorization server."""

import base64
import logging
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import httpx
from fastapi import FastAPI

from authcore.clock import Clock, system_clock
from authcore.dpop import DPoPProofs
from authcore.dpop_nonces import DerivedNonces
from authcore.http_client import pooled_client
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from authserver import endpoints, event_delivery
from authserver.access_tokens import AccessTokens
from authserver.active_tokens import ActiveTokens
from authserver.admin_sessions import AdminSessions
from authserver.agents import Agents
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
from authserver.endpoints import Endpoints
from authserver.event_delivery import Backoff, EventDelivery
from authserver.event_outbox import EventOutbox
from authserver.history import History
from authserver.identity_assertions import IdentityAssertions
from authserver.inbox import Inbox
from authserver.keys import SigningKeys, load_secret
from authserver.last_uses import LastUses
from authserver.mail_server import serving_mail
from authserver.mailer import Mailer
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
CHECKPOINT_SECONDS: Final = 1
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
    policy = replace(policy, private_use_schemes=policy.private_use_schemes | settings.private_use_schemes)
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
            checkpoints = every(CHECKPOINT_SECONDS, database.checkpoint)
            await stack.enter_async_context(in_background("checkpoints", checkpoints))
            last_uses = LastUses(database)
            stack.push_async_callback(last_uses.store)
            sweeping = every(SWEEP_SECONDS, partial(_tidy_up, database, last_uses, now))
            await stack.enter_async_context(in_background("tidying up", sweeping))
            outbox = EventOutbox(database, settings.event_receivers)
            client = await stack.enter_async_context(
                pooled_client(
                    timeout_seconds=event_delivery.TIMEOUT_SECONDS,
                    transport=transport,
                    ca_file=settings.ca_file,
                )
            )
            server = await _build(
                stack, settings, where, database, fetcher, client, outbox, last_uses, now=now, policy=policy
            )
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
    stack: AsyncExitStack,
    settings: Settings,
    where: Endpoints,
    database: Database,
    fetcher: PublicFetcher,
    client: httpx.AsyncClient,
    outbox: EventOutbox,
    last_uses: LastUses,
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
    inbox = Inbox(database)
    smtp_port = await stack.enter_async_context(serving_mail(inbox, users, port=settings.smtp_port, now=now))
    registered = RegisteredClients(database, audience=settings.mcp_resource)
    clients = ClientDirectory(
        configured_clients(settings.clients, mcp_resource=settings.mcp_resource, policy=policy),
        registered,
        ClientDocuments(fetcher, policy, audience=settings.mcp_resource, now=now),
    )
    replays = AssertionReplays(database)
    nonces = await _nonces(database, now) if settings.dpop_nonces else None
    delegations, access_tokens = Delegations(database, outbox), AccessTokens(database)
    consents = Consents(database)
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
        dpop=DPoPProofs(replays.first_use, nonces=nonces, now=now),
        dpop_nonces=nonces,
        identity_assertions=None
        if settings.identity_provider is None
        else IdentityAssertions(
            settings.identity_provider, client, users, replays.first_use, issuer=where.issuer, now=now
        ),
        sessions=Sessions(
            database, lifetime_seconds=settings.session_lifetime_seconds, secure=where.secure, now=now
        ),
        admin_sessions=AdminSessions(database, settings.admin_password, now=now),
        one_time_passwords=OneTimePasswords(database),
        inbox=inbox,
        mailer=Mailer(smtp_port, now=now),
        consents=consents,
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
            last_uses,
            issuer=where.issuer,
            audiences=frozenset({settings.mcp_resource, *settings.api_audiences}),
            now=now,
        ),
        agents=Agents(database, consents, delegations, last_uses),
        history=History(database),
        pages=Pages(where),
        counters=Counters(),
    )


async def _nonces(database: Database, now: Clock) -> DerivedNonces:
    secret = await load_secret(database, "dpop nonces")
    return DerivedNonces(base64.urlsafe_b64encode(secret).decode("ascii"), now=now)


async def _tidy_up(database: Database, last_uses: LastUses, now: Clock) -> None:
    try:
        await sweep(database, now())
        await last_uses.store()
    except sqlite3.Error:
        logger.exception("the state could not be tidied up")
