"""The admin page: clients, delegations, keys and what happened lately; and ending a delegation."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from authcore.claims import format_scope
from authserver import endpoints
from authserver.clients import Client
from authserver.delegations import Delegation
from authserver.durations import ago
from authserver.pages import see_other
from authserver.redirect_uris import shown_target
from authserver.sessions import Session
from authserver.state import Server, server_of
from authserver.waiting import field, own_form, own_session

SHOWN: Final = 100

_PURPOSE: Final = "admin"


async def overview(request: Request) -> Response:
    """Show everything but secrets, to an administrator."""
    server = server_of(request)
    session = await server.sessions.find(request) or await server.sessions.start()
    if await server.admin_sessions.may(session):
        return await _overview(server, session)
    response = see_other(server.where.path(endpoints.ADMIN_LOGIN))
    server.sessions.remember(response, session)
    return response


async def login_page(request: Request) -> Response:
    """Ask for the password."""
    server = server_of(request)
    return _login_page(server, await own_session(server, request))


async def log_in(request: Request) -> Response:
    """Let the browser administer if the password is right."""
    server = server_of(request)
    session, form = await own_form(server, request, _PURPOSE)
    if server.admin_sessions.locked:
        problem = "Too many wrong passwords. Try again in a minute."
        return _login_page(server, session, problem=problem, status=429)
    if not server.admin_sessions.accepts(field(form, "password")):
        return _login_page(server, session, problem="That is not the password.", status=403)
    session = await server.sessions.renew(session)
    await server.admin_sessions.begin(session)
    response = see_other(server.where.path(endpoints.ADMIN))
    server.sessions.remember(response, session)
    return response


async def log_out(request: Request) -> Response:
    """Stop administering. A user's login in the same browser stays."""
    server = server_of(request)
    session, _ = await own_form(server, request, _PURPOSE)
    await server.admin_sessions.end(session)
    return see_other(server.where.path(endpoints.ADMIN))


async def revoke(request: Request) -> Response:
    """End a delegation."""
    server = server_of(request)
    session, form = await own_form(server, request, _PURPOSE)
    if await server.admin_sessions.may(session):
        await server.agents.end(field(form, "delegation"), server.now())
    return see_other(server.where.path(endpoints.ADMIN))


def _login_page(server: Server, session: Session, *, problem: str = "", status: int = 200) -> Response:
    return server.pages.render(
        "admin_login.html",
        status=status,
        action=server.where.path(endpoints.ADMIN_LOGIN),
        fields={"csrf": session.csrf_token(_PURPOSE)},
        problem=problem,
    )


async def _overview(server: Server, session: Session) -> Response:
    now = server.now()
    clients = await server.clients.some(SHOWN)
    names = {client.client_id: client.name for client in clients}
    delegations = await server.delegations.newest(SHOWN)
    return server.pages.render(
        "admin.html",
        delegations=[_delegation(delegation, names, now) for delegation in delegations],
        clients=[_client(client) for client in clients],
        keys=[str(published.key.kid) for published in server.keys.published()],
        signing=str(server.keys.signing().key.kid),
        happenings=[
            {"age": ago(now - happening.at), "happening": happening}
            for happening in await server.history.newest(SHOWN)
        ],
        fields={"csrf": session.csrf_token(_PURPOSE)},
        revoke=server.where.path(endpoints.ADMIN_REVOKE),
        log_out=server.where.path(endpoints.ADMIN_LOGOUT),
    )


def _delegation(delegation: Delegation, names: dict[str, str], now: int) -> dict[str, object]:
    return {
        "id": delegation.delegation_id,
        "email": delegation.email,
        "client": names.get(delegation.client_id, delegation.client_id),
        "scope": format_scope(delegation.scope),
        "audience": delegation.audience,
        "level": delegation.assurance_level,
        "since": ago(now - delegation.created_at),
        "revoked": None if delegation.revoked_at is None else ago(now - delegation.revoked_at),
        "because": delegation.revoked_because,
    }


def _client(client: Client) -> dict[str, object]:
    return {
        "id": client.client_id,
        "name": client.name,
        "origin": client.origin,
        "method": client.auth_method,
        "targets": list(dict.fromkeys(map(shown_target, client.redirect_uris))),
    }
