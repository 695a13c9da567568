"""Consent: the user reads what the client wants, and decides."""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from authcore.claims import covers
from authcore.errors import AccessDenied, OAuthError
from authserver import endpoints
from authserver.authorization import (
    ConsentRequired,
    LoginRequired,
    error_location,
    next_page,
    signed_in,
    success_location,
)
from authserver.pages import PageError, expired, see_other
from authserver.redirect_uris import shown_target, stays_local
from authserver.state import Server, server_of
from authserver.users import User
from authserver.waiting import Waiting, field, submitted, waiting


async def consent_page(request: Request) -> Response:
    """Show what is asked for; or, where the user agreed to it before, answer at once."""
    server = server_of(request)
    found = await waiting(server, request)
    user, silent = _user(server, found), "none" in found.pending.prompt
    if user is None:
        if silent:
            return await _refuse(server, found, LoginRequired("Nobody is signed in"))
        return see_other(next_page(server, found.pending, found.session))
    if not await _must_ask(server, found, user):
        return await _grant(server, found, user, agreed=False)
    if silent:
        return await _refuse(server, found, ConsentRequired("The user has not agreed to this before"))
    return await _page(server, found, user)


async def decide(request: Request) -> Response:
    """Answer the client as the user decided."""
    server = server_of(request)
    found, form = await submitted(server, request)
    user = _user(server, found)
    if user is None:
        return see_other(next_page(server, found.pending, found.session))
    decision = field(form, "decision")
    if decision == "allow":
        return await _grant(server, found, user, agreed=True)
    if decision == "cancel":
        return await _refuse(server, found, AccessDenied("The user did not agree"))
    raise PageError("This form cannot be accepted", "It holds neither a yes nor a no.")


def _user(server: Server, found: Waiting) -> User | None:
    if found.session.email is None or not signed_in(server, found.pending, found.session):
        return None
    return server.users.find(found.session.email)


async def _must_ask(server: Server, found: Waiting, user: User) -> bool:
    if "consent" in found.pending.prompt:
        return True
    if not server.policy.terms(found.pending.scope, found.client.auth_method).consent_required:
        return False
    return not await server.consents.covers(found.pending, user.email)


async def _grant(server: Server, found: Waiting, user: User, *, agreed: bool) -> Response:
    now = server.now()
    answered = await server.requests.take(found.pending.request_id, found.session, now)
    if answered is None:
        raise expired()
    if agreed:
        await server.consents.give(answered, user.email, now)
    code = await server.codes.issue(answered, user.email, now)
    return see_other(success_location(server.where.issuer, answered, code))


async def _refuse(server: Server, found: Waiting, error: OAuthError) -> Response:
    answered = await server.requests.take(found.pending.request_id, found.session, server.now())
    if answered is None:
        raise expired()
    return see_other(error_location(server.where.issuer, answered.redirect_uri, answered.state, error))


async def _page(server: Server, found: Waiting, user: User) -> Response:
    pending, client = found.pending, found.client
    before = await server.consents.given(pending, user.email)
    another = f"{server.where.path(endpoints.LOGIN)}?{urlencode({'request': pending.request_id})}"
    return server.pages.render(
        "consent.html",
        leads_to_client=True,
        client=client.name,
        publisher=urlsplit(client.client_id).hostname if client.origin == "document" else None,
        account=user.email,
        region=user.region,
        resource=server.display_name(pending.audience),
        scopes=[
            (server.policy.scopes[name].description, bool(before) and not covers(before, frozenset({name})))
            for name in sorted(pending.scope)
        ],
        target=shown_target(pending.redirect_uri),
        local=stays_local(pending.redirect_uri),
        action=server.where.path(endpoints.CONSENT),
        fields=found.form_fields(),
        another=another,
    )
