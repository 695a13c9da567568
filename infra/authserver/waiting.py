"""The pages between an authorization request and its answer: whose browser this is and what it waits for."""

from dataclasses import dataclass

from starlette.requests import Request

from authcore.errors import InvalidRequest, OAuthError
from authcore.forms import Form, parse_form
from authserver.authorization_requests import AuthorizationRequest
from authserver.clients import Client
from authserver.pages import PageError, expired, page_error, read_page_form
from authserver.sessions import Session
from authserver.state import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A browser in the middle of an authorization request."""

    session: Session
    pending: AuthorizationRequest
    client: Client

    def form_fields(self) -> dict[str, str]:
        """Return the hidden fields every form must bring back."""
        request_id = self.pending.request_id
        return {"request": request_id, "csrf": self.session.csrf_token(request_id)}


async def waiting(server: Server, request: Request) -> Waiting:
    """Return what the page of a GET request is about.

    Raises:
        PageError: the authorization request is unknown, over, or another browser's.
    """
    try:
        form = parse_form(request.url.query)
        return await _waiting(server, request, form)
    except OAuthError as error:
        raise page_error(error) from error


async def submitted(server: Server, request: Request) -> tuple[Waiting, Form]:
    """Return what a submitted form is about, and what else it holds.

    Raises:
        PageError: as `waiting`, or the form did not come from a page we gave to this browser.
    """
    form = await read_page_form(request)
    try:
        found = await _waiting(server, request, form)
        presented = form.get("csrf") or ""
    except OAuthError as error:
        raise page_error(error) from error
    require_csrf(found.session, found.pending.request_id, presented)
    return found, form


async def own_form(server: Server, request: Request, purpose: str) -> tuple[Session, Form]:
    """Return whose browser submitted a form of a page that needs no authorization request, and what it holds.

    Raises:
        PageError: the session is over, or the form did not come from a page we gave to this browser.
    """
    form = await read_page_form(request)
    session = await own_session(server, request)
    require_csrf(session, purpose, field(form, "csrf"))
    return session, form


async def own_session(server: Server, request: Request) -> Session:
    """Return the browser's session.

    Raises:
        PageError: there is none.
    """
    session = await server.sessions.find(request)
    if session is None:
        raise PageError("This page has expired", "Open it again from its beginning. It needs a cookie.")
    return session


def require_csrf(session: Session, purpose: str, presented: str) -> None:
    """Return if a form came from a page that we gave to this browser for this purpose.

    Raises:
        PageError: it did not.
    """
    if not session.accepts_csrf(purpose, presented):
        raise PageError(
            "This form cannot be accepted",
            "It did not come from a page of this server, or you signed in again in another window. "
            "Go back to where you came from and start again from there.",
            status=403,
        )


def field(form: Form, name: str) -> str:
    """Return a field of a submitted form, empty if absent.

    Raises:
        PageError: it is there more than once.
    """
    try:
        return form.get(name) or ""
    except InvalidRequest as error:
        raise page_error(error) from error


async def _waiting(server: Server, request: Request, form: Form) -> Waiting:
    session = await server.sessions.find(request)
    request_id = form.get("request")
    if session is None or request_id is None:
        raise expired()
    pending = await server.requests.find(request_id, session, server.now())
    if pending is None:
        raise expired()
    client = await server.clients.find(pending.client_id)
    if client is None:
        raise expired()
    return Waiting(session=session, pending=pending, client=client)
