"""The inbox in a browser, and as JSON for scripted users."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import InvalidRequest
from authcore.forms import parse_form
from authcore.oauth2_types import NO_STORE
from authserver.durations import ago
from authserver.inbox import Mail
from authserver.pages import PageError, page_error
from authserver.settings import LOOPBACK_HOSTS
from authserver.state import Server, server_of
from authserver.users import normal_email


async def inbox_page(request: Request) -> Response:
    """Show the mails, newest first. The page reloads itself."""
    server = server_of(request)
    mails = await _mails(server, request)
    now = server.now()
    shown = [{"mail": mail, "age": ago(now - mail.received_at)} for mail in mails]
    return server.pages.render("inbox.html", mails=shown)


async def inbox_json(request: Request) -> Response:
    """Answer with the mails, newest first; `?to=` narrows to one recipient."""
    mails = await _mails(server_of(request), request)
    return JSONResponse({"mails": [mail.document() for mail in mails]}, headers=NO_STORE)


async def _mails(server: Server, request: Request) -> list[Mail]:
    # A name that somebody else's DNS server points at this machine must not open the mails to their page.
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host != server.where.host and host not in LOOPBACK_HOSTS:
        raise PageError("Wrong host", "The inbox answers under this server's own name only.", status=403)
    try:
        recipient = parse_form(request.url.query).get("to")
    except InvalidRequest as error:
        raise page_error(error) from error
    return await server.inbox.newest(None if recipient is None else normal_email(recipient))
