"""HTML pages: templates, the headers that protect them, and what every form must bring back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from authcore.errors import OAuthError, TemporarilyUnavailable
from authcore.forms import Form, read_form
from authserver import endpoints
from authserver.endpoints import Endpoints

DIRECTORY: Final = Path(__file__).parent / "pages"

# `frame-ancestors` and the rest do not follow from `default-src`.
_CSP: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_CSP_SCRIPT: Final = (
    "; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


class PageError(Exception):
    """A request that ends with a page of our own, because there is nobody to trust with a redirect."""

    def __init__(self, title: str, text: str, *, status: int = 400) -> None:
        super().__init__(title)
        self.title = title
        self.text = text
        self.status = status


def expired() -> PageError:
    """Return what to raise for a page whose authorization request is gone."""
    return PageError(
        "This page has expired", "Go back to your application and start again from there.", status=400
    )


class Pages:
    """Renders the templates."""

    def __init__(self, where: Endpoints) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(DIRECTORY),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._frame = {
            "style": where.path(endpoints.STYLE),
            "inbox": endpoints.INBOX,
            "agents_page": where.path(endpoints.AGENTS),
            "issuer": where.issuer,
        }
        self.stylesheet = (DIRECTORY / "style.css").read_bytes()
        self.inbox_script = (DIRECTORY / "inbox.js").read_bytes()

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        leads_to_client: bool = False,
        scripted: bool = False,
        **context: object,
    ) -> HTMLResponse:
        """Return a page.

        Args:
            template: file name.
            status: HTTP status.
            leads_to_client: whether submitting the page's form may end at the client's redirect URI. Chromium
                applies `form-action` to every redirect that follows, so also to those the client itself
                makes, which nobody can list: such a page goes without.
            scripted: whether it runs our own script, which then may ask this server, and never makes HTML of
                what it is told.
            context: what the template shows.
        """
        policy = _CSP if leads_to_client else f"{_CSP}; form-action 'self'"
        if scripted:
            policy += _CSP_SCRIPT
        return HTMLResponse(
            self._templates.get_template(template).render(self._frame | context),
            status,
            headers={**HEADERS, "content-security-policy": policy},
        )

    def error(self, error: PageError) -> HTMLResponse:
        """Return the page of an error."""
        return self.render("error.html", status=error.status, title=error.title, text=error.text)


async def read_page_form(request: Request) -> Form:
    """Read what a form of a page brought.

    Raises:
        PageError: it is malformed.
    """
    try:
        return await read_form(request)
    except OAuthError as error:
        raise page_error(error) from error


def page_error(error: OAuthError) -> PageError:
    """Return the page for a refusal that cannot be sent anywhere else."""
    unavailable = isinstance(error, TemporarilyUnavailable)
    return PageError(
        "Please try again" if unavailable else "This request cannot be accepted",
        error.description or "Something this server depends on did not answer.",
        status=error.status if unavailable else 400,
    )


def see_other(location: str) -> Response:
    """Return a redirect that is followed with GET and leaves no referrer behind (RFC 9700 §4.12)."""
    return Response(status_code=303, headers={**HEADERS, "location": location})
