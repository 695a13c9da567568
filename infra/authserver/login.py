"""Login: an email address, then the one-time password sent to it."""

import re
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from authserver import endpoints
from authserver.authorization import next_page
from authserver.one_time_passwords import LIFETIME_SECONDS, Outcome
from authserver.pages import PageError, see_other
from authserver.rate_limits import TooManyRequests, address_of
from authserver.state import Server, server_of
from authserver.users import masked, normal_email
from authserver.waiting import Waiting, field, submitted, waiting

MAX_EMAIL_LENGTH: Final = 254

_EMAIL = re.compile(r"[!-?A-~]+@[a-z0-9.-]+")
_CODE = re.compile(r"[0-9]{6}")


async def email_page(request: Request) -> Response:
    """Ask for the email address."""
    server = server_of(request)
    return _email_page(server, await waiting(server, request))


async def send_code(request: Request) -> Response:
    """Send a one-time password, if there is somebody to send it to; the answer is the same if not."""
    server = server_of(request)
    _limit(server, request)
    found, form = await submitted(server, request)
    email = normal_email(field(form, "email"))
    if len(email) > MAX_EMAIL_LENGTH or not _EMAIL.fullmatch(email):
        problem = "Please enter an email address."
        return _email_page(server, found, email=email[:MAX_EMAIL_LENGTH], problem=problem, status=400)
    now = server.now()
    code = await server.one_time_passwords.start(found.pending.request_id, email, now)
    await server.inbox.deliver(
        email,
        subject=f"Your one-time password is {code}",
        text=(
            f"{found.client.name} is requesting access. To continue, enter the one-time password {code}. "
            f"It is good for {LIFETIME_SECONDS // 60} minutes. If you did not ask for it, do nothing."
        ),
        code=code,
        known=server.users.find(email) is not None,
        now=now,
    )
    return see_other(_page(server, endpoints.LOGIN_CODE, found))


async def code_page(request: Request) -> Response:
    """Ask for the one-time password."""
    server = server_of(request)
    return await _code_page(server, await waiting(server, request))


async def check_code(request: Request) -> Response:
    """Log the user in if the one-time password is right."""
    server = server_of(request)
    _limit(server, request)
    found, form = await submitted(server, request)
    code = field(form, "code").replace(" ", "")
    if not _CODE.fullmatch(code):
        return await _code_page(server, found, problem="The one-time password has six digits.", status=400)
    attempt = await server.one_time_passwords.attempt(found.pending.request_id, code, server.now())
    if attempt.outcome is Outcome.OVER:
        problem = "This one-time password can no longer be used. Ask for a new one."
        return await _code_page(server, found, problem=problem, over=True, status=400)
    # An address nobody owns has a code as well, and that could be guessed.
    if attempt.email is None or server.users.find(attempt.email) is None:
        return await _code_page(server, found, problem="That is not the one-time password.", status=400)
    session = await server.sessions.log_in(found.session, attempt.email)
    response = see_other(next_page(server, found.pending, session))
    server.sessions.remember(response, session)
    return response


def _limit(server: Server, request: Request) -> None:
    try:
        server.login_limit.take(address_of(request))
    except TooManyRequests as error:
        text = f"Wait {error.retry_after_seconds} seconds and try again."
        raise PageError("Too many attempts", text, status=error.status) from error


def _email_page(
    server: Server, found: Waiting, *, email: str = "", problem: str = "", status: int = 200
) -> Response:
    return server.pages.render(
        "email.html",
        status=status,
        client=found.client.name,
        action=server.where.path(endpoints.LOGIN),
        fields=found.form_fields(),
        email=email,
        problem=problem,
    )


async def _code_page(
    server: Server, found: Waiting, *, problem: str = "", over: bool = False, status: int = 200
) -> Response:
    recipient = await server.one_time_passwords.recipient(found.pending.request_id)
    restart = _page(server, endpoints.LOGIN, found)
    if recipient is None:
        return see_other(restart)
    return server.pages.render(
        "code.html",
        status=status,
        leads_to_client=True,
        client=found.client.name,
        recipient=masked(recipient),
        minutes=LIFETIME_SECONDS // 60,
        action=server.where.path(endpoints.LOGIN_CODE),
        fields=found.form_fields(),
        problem=problem,
        over=over,
        restart=restart,
    )


def _page(server: Server, name: str, found: Waiting) -> str:
    return f"{server.where.path(name)}?{urlencode({'request': found.pending.request_id})}"
