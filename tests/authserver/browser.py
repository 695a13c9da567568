"""A browser as far as these tests need one: cookies, forms, redirects followed by hand."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action")
        if tag == "input" and found.get("type") == "hidden":
            self.fields[str(found["name"])] = found.get("value") or ""


@dataclass
class Page:
    """What a request ended with: a page of the server, or a redirect that leaves it."""

    url: str
    response: httpx.Response
    action: str | None = None
    fields: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def callback(self) -> dict[str, str]:
        """The query parameters a redirect to the client carries."""
        assert self.response.status_code == 303, self.response.text
        query = parse_qs(urlsplit(self.response.headers["location"]).query, strict_parsing=True)
        assert all(len(values) == 1 for values in query.values())
        return {name: values[0] for name, values in query.items()}


class Browser:
    """Follows redirects within the server and stops at those that leave it."""

    def __init__(self, transport: httpx.AsyncBaseTransport, origin: str) -> None:
        self.http = httpx.AsyncClient(transport=transport, base_url=origin, trust_env=False)
        self.origin = origin

    async def open(self, url: str, **parameters: str) -> Page:
        return await self._page(await self.http.get(url, params=parameters or None))

    async def submit(self, page: Page, **fields: str) -> Page:
        assert page.action is not None, page.text
        return await self._page(await self.http.post(page.action, data=page.fields | fields))

    async def _page(self, response: httpx.Response) -> Page:
        while response.status_code in (302, 303):
            target = urljoin(str(response.url), response.headers["location"])
            if not target.startswith(f"{self.origin}/"):
                return Page(str(response.url), response)
            response = await self.http.get(target)
        forms = _Forms()
        forms.feed(response.text)
        return Page(str(response.url), response, forms.action, forms.fields)
