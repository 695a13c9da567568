"""Your agents: the page where users see what they let which application do, and withdraw it."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from authcore.errors import OAuthError
from authcore.forms import Form
from authserver import endpoints
from authserver.agents import Agent
from authserver.client_documents import is_document_url
from authserver.clients import UNNAMED, Client
from authserver.durations import ago, lasting
from authserver.login import Login, Visit
from authserver.pages import see_other
from authserver.redirect_uris import shown_target
from authserver.sessions import Session
from authserver.state import Server, server_of
from authserver.users import User
from authserver.waiting import field, own_form, own_session

_PURPOSE: Final = "agents"


async def agents(request: Request) -> Response:
    """Show a user's agents; ask who it is if that is not known."""
    server = server_of(request)
    session = await server.sessions.find(request) or await server.sessions.start()
    user = _user(server, session)
    if user is None:
        response = see_other(server.where.path(endpoints.AGENTS_LOGIN))
        server.sessions.remember(response, session)
        return response
    return await _page(server, session, user)


async def withdraw(request: Request) -> Response:
    """End what the user let one client do."""
    server = server_of(request)
    session, form = await own_form(server, request, _PURPOSE)
    user = _user(server, session)
    if user is not None:
        await server.agents.withdraw(user.email, field(form, "client"), field(form, "audience"), server.now())
    return see_other(server.where.path(endpoints.AGENTS))


async def sign_out(request: Request) -> Response:
    """End the browser's session."""
    server = server_of(request)
    session, _ = await own_form(server, request, _PURPOSE)
    await server.sessions.end(session)
    return see_other(server.where.path(endpoints.AGENTS))


def _user(server: Server, session: Session) -> User | None:
    return None if session.email is None else server.users.find(session.email)


async def _page(server: Server, session: Session, user: User) -> Response:
    found = await server.agents.of(user.email, server.now())
    clients = await asyncio.gather(*(_client(server, agent.client_id) for agent in found))
    return server.pages.render(
        "agents.html",
        account=user.email,
        region=user.region,
        agents=[_shown(server, agent, client) for agent, client in zip(found, clients, strict=True)],
        fields={"csrf": session.csrf_token(_PURPOSE)},
        withdraw=server.where.path(endpoints.AGENTS_WITHDRAW),
        sign_out=server.where.path(endpoints.AGENTS_SIGN_OUT),
    )


async def _client(server: Server, client_id: str) -> Client | None:
    try:
        return await server.clients.find(client_id)
    except OAuthError:
        # Its document is gone or out of reach. What was granted is still the user's to withdraw.
        return None


def _shown(server: Server, agent: Agent, client: Client | None) -> dict[str, object]:
    now = server.now()
    scopes = (server.policy.scopes.get(name) for name in sorted(agent.scope))
    targets = () if client is None else client.redirect_uris
    unnamed = agent.client_id if is_document_url(agent.client_id) else UNNAMED
    return {
        "client_id": agent.client_id,
        "audience": agent.audience,
        "name": unnamed if client is None else client.name,
        "resource": server.display_name(agent.audience),
        "targets": list(dict.fromkeys(map(shown_target, targets))),
        "scopes": [scope.description for scope in scopes if scope is not None],
        "since": ago(now - agent.since),
        "used": None if agent.last_used_at is None else ago(now - agent.last_used_at),
        "left": None if agent.live_until is None else lasting(agent.live_until - now),
        "ended": agent.ended,
        "withdrawn": None if agent.revoked_at is None else ago(now - agent.revoked_at),
    }


def _visit(server: Server, session: Session) -> Visit:
    home = server.where.path(endpoints.AGENTS)
    return Visit(
        session=session,
        visit_id=f"{_PURPOSE} {session.session_hash.hex()}",
        reason="You are signing in to see your agents.",
        client=None,
        email_page=server.where.path(endpoints.AGENTS_LOGIN),
        code_page=server.where.path(endpoints.AGENTS_LOGIN_CODE),
        fields={"csrf": session.csrf_token(_PURPOSE)},
        onward=lambda _: home,
    )


async def _arriving(server: Server, request: Request) -> Visit:
    return _visit(server, await own_session(server, request))


async def _submitting(server: Server, request: Request) -> tuple[Visit, Form]:
    session, form = await own_form(server, request, _PURPOSE)
    return _visit(server, session), form


LOGIN: Final = Login(_arriving, _submitting)
"""For users who come by themselves."""
