"""What went over the wire, fit to be shown: secrets shortened, the rest as it was."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import httpx2

Actor = Literal["agent", "browser"]

SECRET_PARAMETERS: Final = frozenset(
    {"code", "state", "code_challenge", "code_verifier", "client_secret", "request"}
)
MAX_JSON_BYTES: Final = 256 * 1024
_BEARER: Final = re.compile(r"^(Bearer|DPoP|Basic) (.+)$", re.IGNORECASE)


def shorten(secret: str, kind: str = "") -> str:
    """Return the first characters of a secret and its length: `5f3a…(opaque, 43 chars)`."""
    shown = secret[:4] if len(secret) >= 16 else ""
    return f"{shown}…({kind + ', ' if kind else ''}{len(secret)} chars)"


def shorten_token(token: str) -> str:
    """Shorten an access token, and say whether it is a JWT or opaque to its bearer."""
    return shorten(token, "JWT" if token.count(".") == 2 else "opaque")


def shorten_url(url: str) -> str:
    """Shorten the secrets in a URL's query, and write the rest readably."""
    parts = urlsplit(url)
    query = "&".join(
        f"{name}={shorten(value) if name in SECRET_PARAMETERS else value}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return f"{url.partition('?')[0]}?{query}" if query else url


def shorten_authorization(value: str) -> str:
    """Shorten the credentials of an `Authorization` header."""
    match = _BEARER.match(value)
    return f"{match[1]} {shorten_token(match[2])}" if match else shorten(value)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the head of its response; of the bodies only JSON and forms, parsed."""

    actor: Actor
    method: str
    url: str
    status: int
    request_headers: httpx2.Headers
    response_headers: httpx2.Headers
    form: dict[str, str]
    request_json: dict[str, Any]
    response_json: dict[str, Any]

    @property
    def path(self) -> str:
        """The path of the URL."""
        return urlsplit(self.url).path

    @property
    def asks_as_document(self) -> bool:
        """Whether it is an authorization request of a client that is known by its metadata document."""
        return dict(parse_qsl(urlsplit(self.url).query)).get("client_id", "").startswith("https://")

    @property
    def rpc_method(self) -> str | None:
        """The JSON-RPC method, if the request is an MCP message."""
        return self.request_json.get("method") if "jsonrpc" in self.request_json else None


OnExchange = Callable[[Exchange], None]


def response_hook(actor: Actor, on_exchange: OnExchange) -> Callable[[httpx2.Response], Awaitable[None]]:
    """Return an event hook for an `httpx2` client that reports every response."""

    async def hook(response: httpx2.Response) -> None:
        request = response.request
        body: bytes = b""
        if _media_type(response.headers) == "application/json":
            body = await response.aread()
        sent = request.content
        kind = _media_type(request.headers)
        is_form = kind == "application/x-www-form-urlencoded"
        on_exchange(
            Exchange(
                actor=actor,
                method=request.method,
                url=str(request.url),
                status=response.status_code,
                # The SDK sends the same request again with a token: keep what was sent now.
                request_headers=httpx2.Headers(request.headers),
                response_headers=httpx2.Headers(response.headers),
                form=dict(parse_qsl(sent.decode("utf-8", "replace"))) if is_form else {},
                request_json=_object(sent) if kind == "application/json" else {},
                response_json=_object(body),
            )
        )

    return hook


def _media_type(headers: httpx2.Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _object(body: bytes) -> dict[str, Any]:
    if not body or len(body) > MAX_JSON_BYTES:
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
