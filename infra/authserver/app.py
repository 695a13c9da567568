"""The composition root of the development authorization server."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import aiosqlite
import httpx
from fastapi import FastAPI

from authcore.clock import Clock, system_clock
from authcore.service import RequestLimits, health_routes
from authcore.telemetry import fastapi_telemetry
from authserver import endpoints
from authserver.access_tokens import AccessTokens
from authserver.active_tokens import ActiveTokens
from authserver.admin_sessions import AdminSessions
from authserver.agents import Agents
from authserver.authorization_codes import AuthorizationCodes
from authserver.authorization_requests import AuthorizationRequests
from authserver.client_auth import AssertionReplays, ClientAuthenticator
from authserver.client_directory import ClientDirectory
from authserver.client_documents import ClientDocuments
from authserver.clients import RegisteredClients, configured_clients
from authserver.consents import Consents
from authserver.counters import Counters
from authserver.database import Database, open_database
from authserver.delegations import Delegations
from authserver.endpoints import Endpoints
from authserver.history import History
from authserver.inbox import Inbox
from authserver.keys import load_keys, load_secret
from authserver.last_uses import LastUses
from authserver.mail_server import serving_mail
from authserver.mailer import Mailer
from authserver.one_time_passwords import OneTimePasswords
from authserver.pages import Pages
from authserver.policy import POLICY, Policy
from authserver.public_fetch import PublicFetcher, Resolver, document_transport, system_resolver
from authserver.refusals import add_refusals
from authserver.routes import routes
from authserver.schema import sweep
from authserver.sessions import Sessions
from authserver.settings import Settings
from authserver.state import Server, State
from authserver.users import Users

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024
SWEEP_SECONDS: Final = 60


def create_app(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    resolver: Resolver = system_resolver,
    now: Clock = system_clock,
    policy: Policy = POLICY,
) -> FastAPI:
    """Return the server.

    Args:
        settings: what its environment says.
        transport: stands in for the web in tests; client metadata documents are all that is fetched.
        resolver: stands in for DNS in tests.
        now: the clock.
        policy: what scopes mean.
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
            last_uses = LastUses(database)
            await stack.enter_async_context(_kept_up(database, last_uses, now))
            server = await _build(
                stack, settings, where, database, fetcher, last_uses, now=now, policy=policy
            )
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
    last_uses: LastUses,
    *,
    now: Clock,
    policy: Policy,
) -> Server:
    keys = await load_keys(database, now())
    users = Users(settings.users, await load_secret(database, "subjects"))
    inbox = Inbox(database)
    smtp_port = await stack.enter_async_context(serving_mail(inbox, users, port=settings.smtp_port, now=now))
    registered = RegisteredClients(database, audience=settings.mcp_resource)
    clients = ClientDirectory(
        configured_clients(settings.clients, mcp_resource=settings.mcp_resource),
        registered,
        ClientDocuments(fetcher, policy, audience=settings.mcp_resource, now=now),
    )
    delegations, access_tokens, consents = Delegations(database), AccessTokens(database), Consents(database)
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
            AssertionReplays(database),
            audience=frozenset({where.issuer, where.url(endpoints.TOKEN), where.url(endpoints.INTROSPECT)}),
            now=now,
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
        codes=AuthorizationCodes(database),
        delegations=delegations,
        access_tokens=access_tokens,
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


@asynccontextmanager
async def _kept_up(database: Database, last_uses: LastUses, now: Clock) -> AsyncGenerator[None]:
    async def keep_up() -> None:
        while True:
            try:
                await sweep(database, now())
                await last_uses.store()
            except aiosqlite.Error:
                logger.exception("the state could not be tidied up")
            await asyncio.sleep(SWEEP_SECONDS)

    keeping = asyncio.create_task(keep_up())
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await last_uses.store()
