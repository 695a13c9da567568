"""The page on which a user approves or denies a call: `GET` and `POST /approvals/<id>`."""

import hmac
import logging
import re
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from authcore.clock import Clock
from authcore.errors import InvalidRequest, OAuthError, TemporarilyUnavailable
from authcore.forms import read_form
from mcp_gateway.approvals.calls import shown, visible
from mcp_gateway.approvals.sign_in import SignIn, SignInFailed, Visitor, see_other
from mcp_gateway.approvals.store import Approval, Approvals
from mcp_gateway.hosts import normal_host
from mcp_gateway.server import TOOLS

logger = logging.getLogger(__name__)

PATH: Final = "/approvals"
DIRECTORY: Final = Path(__file__).parent / "page"

_ID: Final = re.compile(r"[A-Za-z0-9_-]{32}")

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # `no-referrer` would turn the `Origin` of our own form into `null`.
    "referrer-policy": "same-origin",
}


class PageError(Exception):
    """A request that ends with a page that says why."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text


class Pages:
    """Shows an approval to its user, and to nobody else, and takes their answer."""

    def __init__(
        self,
        approvals: Approvals,
        sign_in: SignIn,
        *,
        service: str,
        origin: str,
        hosts: frozenset[str],
        client_id: str,
        now: Clock,
    ) -> None:
        self._approvals = approvals
        self._sign_in = sign_in
        self._service = service
        self._origin = origin
        self._hosts = hosts
        self._client_id = client_id
        self._now = now
        self._style = (DIRECTORY / "style.css").read_bytes()
        self._template = Environment(
            loader=FileSystemLoader(DIRECTORY),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        ).get_template("page.html")

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{PATH}/style.css", self._stylesheet),
            Route(f"{PATH}/callback", self._callback),
            Route(f"{PATH}/{{id}}", self._approval, methods=["GET", "POST"]),
        ]

    async def _stylesheet(self, _: Request) -> Response:
        headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
        return Response(self._style, media_type="text/css", headers=headers)

    async def _callback(self, request: Request) -> Response:
        try:
            self._check_host(request)
            return await self._sign_in.finish(request)
        except SignInFailed as error:
            return self._message(
                400,
                "You are not signed in",
                f"{error} Open the address of the approval again to try once more.",
            )
        except (PageError, OAuthError) as error:
            return self._error(error)

    async def _approval(self, request: Request) -> Response:
        try:
            self._check_host(request)
            approval = await self._found(request.path_params["id"])
            visitor = self._sign_in.visitor(request, approval.id)
            if visitor is None:
                if request.method == "POST":
                    raise PageError(403, "You are not signed in", "Open the address again, and decide then.")
                return self._sign_in.begin(approval.id)
            if not approval.call.is_of(visitor.issuer, visitor.subject):
                logger.warning("approval %s was opened by another user", approval.id)
                raise PageError(
                    403,
                    "This is not yours to decide",
                    "Somebody else's agent asked for this. Do not trust whoever sent you here.",
                )
            if request.method == "POST":
                return await self._decide(request, approval, visitor)
            return await self._show(approval, visitor)
        except (PageError, OAuthError) as error:
            return self._error(error)

    async def _found(self, approval_id: str) -> Approval:
        approval = await self._approvals.find(approval_id) if _ID.fullmatch(approval_id) else None
        if approval is None:
            raise PageError(
                404, "There is nothing to approve", "This was too long ago, or the address is not complete."
            )
        return approval

    async def _decide(self, request: Request, approval: Approval, visitor: Visitor) -> Response:
        if request.headers.getlist("origin") not in ([], [self._origin]):
            raise PageError(403, "This form cannot be accepted", "It was sent from another site.")
        try:
            form = await read_form(request)
            csrf, decision = form.get("csrf") or "", form.get("decision")
        except InvalidRequest:
            raise PageError(400, "This form cannot be accepted", "It is malformed.") from None
        if not hmac.compare_digest(csrf.encode(), visitor.csrf.encode()):
            raise PageError(403, "This form cannot be accepted", "Open the address again, and decide then.")
        if decision not in ("approve", "deny"):
            raise PageError(400, "This form cannot be accepted", "It holds neither a yes nor a no.")
        await self._approvals.decide(approval, approved=decision == "approve", by=self._client_id)
        return see_other(f"{PATH}/{approval.id}")

    async def _show(self, approval: Approval, visitor: Visitor) -> Response:
        decided = await self._approvals.decision(approval)
        if decided is not None:
            text = "Your agent may do this once, within the next minutes." if decided else "Nothing was done."
            return self._message(
                200,
                "Approved" if decided else "Denied",
                f"{text} You can close this page and go back to your agent.",
            )
        tool = TOOLS.get(approval.call.tool)
        if tool is None:
            raise PageError(404, "There is nothing to approve", "What was asked for is no longer offered.")
        definition = tool.definition
        return self._page(
            200,
            title=definition.title or definition.name,
            rows=shown(definition, approval.call.arguments),
            agent=visible(approval.call.client_id),
            minutes=max((approval.until - self._now()) // 60, 1),
            csrf=visitor.csrf,
            text="",
        )

    def _check_host(self, request: Request) -> None:
        if normal_host(request.headers.get("host", "")) not in self._hosts:
            raise PageError(421, "Wrong address", "This server does not answer under that name.")

    def _error(self, error: PageError | OAuthError) -> Response:
        if isinstance(error, PageError):
            return self._message(error.status, error.title, error.text)
        logger.info("approval page: %s", error)
        if isinstance(error, TemporarilyUnavailable):
            response = self._message(503, "Please try again", "Something we depend on did not answer.")
            response.headers["retry-after"] = str(error.retry_after_seconds)
            return response
        return self._message(
            400, "You are not signed in", "The authorization server's answer cannot be used."
        )

    def _message(self, status: int, title: str, text: str) -> Response:
        return self._page(status, title=title, text=text, rows=[], agent="", minutes=0, csrf="")

    def _page(self, status: int, **context: object) -> Response:
        html = self._template.render(service=self._service, style=f"{PATH}/style.css", **context)
        return HTMLResponse(html, status, headers=HEADERS)
