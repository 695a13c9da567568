"""The inbox in a browser, and as JSON for scripted users."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authcore.errors import InvalidRequest
from authcore.forms import parse_form
from authcore.oauth2_types import NO_STORE
from authserver import endpoints
from authserver.durations import ago
from authserver.inbox import Mail
from authserver.pages import PageError, page_error
from authserver.settings import LOOPBACK_HOSTS
from authserver.state import Server, server_of
from authserver.users import normal_email


async def inbox_page(request: Request) -> Response:
    """Show the mails, newest first. New ones appear by themselves."""
    server = server_of(request)
    mails = await _mails(server, request)
    return server.pages.render(
        "inbox.html",
        scripted=True,
        mails=[_shown(server, mail) for mail in mails],
        script=server.where.path(endpoints.INBOX_SCRIPT),
        source=f"{endpoints.INBOX}.json" + (f"?{request.url.query}" if request.url.query else ""),
    )


async def inbox_json(request: Request) -> Response:
    """Answer with the mails, newest first; `?to=` narrows to one recipient."""
    server = server_of(request)
    mails = [_shown(server, mail) for mail in await _mails(server, request)]
    return JSONResponse({"mails": mails}, headers=NO_STORE)


def _shown(server: Server, mail: Mail) -> dict[str, object]:
    return mail.document() | {"age": ago(server.now() - mail.received_at)}


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
