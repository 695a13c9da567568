"""Login: an email address, then the one-time password sent to it.

Who comes here has a reason, an authorization request or a page of our own; the two pages are the same.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from authcore.errors import TemporarilyUnavailable
from authcore.forms import Form
from authserver import endpoints
from authserver.authorization import next_page
from authserver.one_time_passwords import LIFETIME_SECONDS, Outcome
from authserver.pages import PageError, page_error, see_other
from authserver.rate_limits import TooManyRequests, address_of
from authserver.sessions import Session
from authserver.state import Server, server_of
from authserver.users import masked, normal_email
from authserver.waiting import Waiting, field, submitted, waiting

MAX_EMAIL_LENGTH: Final = 254

# Dot-atoms on both sides (RFC 5322 §3.2.3): no address that mail programs read in more than one way.
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[a-z0-9]+(-+[a-z0-9]+)*"
_EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*")
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A browser on its way through login."""

    session: Session
    visit_id: str
    """What the one-time password is bound to; no other browser has the same."""
    reason: str
    """Who wants what, for the mail."""
    client: str | None
    """The name of the client that asks; `None` if the user came by themselves."""
    email_page: str
    code_page: str
    fields: Mapping[str, str]
    """Hidden fields of the forms."""
    onward: Callable[[Session], str]
    """Where to go after login."""


class Login:
    """The two pages, for one kind of visit."""

    def __init__(
        self,
        arriving: Callable[[Server, Request], Awaitable[Visit]],
        submitting: Callable[[Server, Request], Awaitable[tuple[Visit, Form]]],
    ) -> None:
        self._arriving = arriving
        self._submitting = submitting

    async def email_page(self, request: Request) -> Response:
        """Ask for the email address."""
        server = server_of(request)
        return _email_page(server, await self._arriving(server, request))

    async def send_code(self, request: Request) -> Response:
        """Send a one-time password, if there is somebody to send it to; the answer is the same if not."""
        server = server_of(request)
        _limit(server, request)
        visit, form = await self._submitting(server, request)
        email = normal_email(field(form, "email"))
        if len(email) > MAX_EMAIL_LENGTH or not _EMAIL.fullmatch(email):
            problem = "Please enter an email address."
            return _email_page(server, visit, email=email[:MAX_EMAIL_LENGTH], problem=problem, status=400)
        code = await server.one_time_passwords.start(visit.visit_id, email, server.now())
        text = (
            f"{visit.reason} To continue, enter the one-time password {code}. "
            f"It is good for {LIFETIME_SECONDS // 60} minutes. If you did not ask for it, do nothing."
        )
        try:
            await server.mailer.send(email, subject=f"Your one-time password is {code}", text=text)
        except TemporarilyUnavailable as error:
            raise page_error(error) from error
        return see_other(visit.code_page)

    async def code_page(self, request: Request) -> Response:
        """Ask for the one-time password."""
        server = server_of(request)
        return await _code_page(server, await self._arriving(server, request))

    async def check_code(self, request: Request) -> Response:
        """Log the user in if the one-time password is right."""
        server = server_of(request)
        _limit(server, request)
        visit, form = await self._submitting(server, request)
        code = field(form, "code").replace(" ", "")
        if not _CODE.fullmatch(code):
            problem = "The one-time password has six digits."
            return await _code_page(server, visit, problem=problem, status=400)
        attempt = await server.one_time_passwords.attempt(visit.visit_id, code, server.now())
        if attempt.outcome is Outcome.OVER:
            problem = "This one-time password can no longer be used. Ask for a new one."
            return await _code_page(server, visit, problem=problem, over=True, status=400)
        # An address nobody owns has a code as well, and that could be guessed.
        if attempt.email is None or server.users.find(attempt.email) is None:
            return await _code_page(server, visit, problem="That is not the one-time password.", status=400)
        session = await server.sessions.log_in(visit.session, attempt.email)
        response = see_other(visit.onward(session))
        server.sessions.remember(response, session)
        return response


def _limit(server: Server, request: Request) -> None:
    try:
        server.login_limit.take(address_of(request))
    except TooManyRequests as error:
        text = f"Wait {error.retry_after_seconds} seconds and try again."
        raise PageError("Too many attempts", text, status=error.status) from error


def _email_page(
    server: Server, visit: Visit, *, email: str = "", problem: str = "", status: int = 200
) -> Response:
    return server.pages.render(
        "email.html",
        status=status,
        client=visit.client,
        action=visit.email_page,
        fields=visit.fields,
        email=email,
        problem=problem,
    )


async def _code_page(
    server: Server, visit: Visit, *, problem: str = "", over: bool = False, status: int = 200
) -> Response:
    recipient = await server.one_time_passwords.recipient(visit.visit_id)
    if recipient is None:
        return see_other(visit.email_page)
    return server.pages.render(
        "code.html",
        status=status,
        leads_to_client=visit.client is not None,
        client=visit.client,
        recipient=masked(recipient),
        minutes=LIFETIME_SECONDS // 60,
        action=visit.code_page,
        fields=visit.fields,
        problem=problem,
        over=over,
        restart=visit.email_page,
    )


def _for_a_client(server: Server, found: Waiting) -> Visit:
    query = urlencode({"request": found.pending.request_id})
    return Visit(
        session=found.session,
        visit_id=found.pending.request_id,
        reason=f"{found.client.name} is requesting access.",
        client=found.client.name,
        email_page=f"{server.where.path(endpoints.LOGIN)}?{query}",
        code_page=f"{server.where.path(endpoints.LOGIN_CODE)}?{query}",
        fields=found.form_fields(),
        onward=lambda session: next_page(server, found.pending, session),
    )


async def _arriving(server: Server, request: Request) -> Visit:
    return _for_a_client(server, await waiting(server, request))


async def _submitting(server: Server, request: Request) -> tuple[Visit, Form]:
    found, form = await submitted(server, request)
    return _for_a_client(server, found), form


FOR_A_CLIENT: Final = Login(_arriving, _submitting)
"""In the middle of an authorization request."""
