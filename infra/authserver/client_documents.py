"""Clients whose `client_id` is the URL of their metadata (OAuth Client ID Metadata Document)."""

import logging
import re
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from authcore.clock import Clock
from authcore.errors import InvalidClient, OAuthError
from authcore.single_flight import SingleFlight
from authserver.client_metadata import accept_metadata, parse_object
from authserver.clients import Client, client_of
from authserver.policy import Policy
from authserver.public_fetch import FetchRefused, PublicFetcher

logger = logging.getLogger(__name__)

MAX_CACHED: Final = 256
DEFAULT_FRESH_SECONDS: Final = 300
"""For a document without cache headers."""
MAX_FRESH_SECONDS: Final = 24 * 3600
REFUSED_SECONDS: Final = 10
"""A document that was refused is not asked for again for this long."""
MAX_URL_LENGTH: Final = 1000

_URL_CHARACTERS = re.compile(r"[!$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+")


@dataclass(frozen=True, slots=True)
class _Entry:
    client: Client | None
    fresh_until: int


def is_document_url(client_id: str) -> bool:
    """Tell whether a `client_id` may name a metadata document: https, with a path, nothing odd in it."""
    if len(client_id) > MAX_URL_LENGTH or not client_id.startswith("https://"):
        return False
    try:
        parts = urlsplit(client_id)
        port = parts.port
    except ValueError:
        return False
    return (
        _URL_CHARACTERS.fullmatch(client_id) is not None
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and port != 0
        and parts.path not in ("", "/")
        and not any(segment in (".", "..") for segment in unquote(parts.path).split("/"))
    )


class ClientDocuments:
    """Metadata documents, fetched when needed and kept as long as their headers allow."""

    def __init__(self, fetcher: PublicFetcher, policy: Policy, *, audience: str, now: Clock) -> None:
        self._fetcher = fetcher
        self._policy = policy
        self._audience = audience
        self._now = now
        self._cache: OrderedDict[str, _Entry] = OrderedDict()
        self._flights = SingleFlight[str, Client]()

    async def find(self, url: str) -> Client:
        """Return the client that the document at this URL describes.

        Raises:
            InvalidClient: there is no acceptable document. The caller does not learn why: it could be
                looking for what is in our network.
            TemporarilyUnavailable: it could not be fetched.
        """
        entry = self._cache.get(url)
        if entry is not None and self._now() < entry.fresh_until:
            self._cache.move_to_end(url)
            return _known(entry)
        return await self._flights.run(url, lambda: self._fetch(url))

    def known(self) -> list[Client]:
        """Return the clients whose documents were accepted lately, the latest first."""
        return [entry.client for entry in reversed(self._cache.values()) if entry.client is not None]

    async def _fetch(self, url: str) -> Client:
        client, fresh_seconds = None, REFUSED_SECONDS
        try:
            document = await self._fetcher.fetch(url)
            client = self._accept(url, document.body)
            fresh_seconds = fresh_for(document.headers)
        except (FetchRefused, ValueError) as error:
            logger.info("client metadata document of %s refused: %s", urlsplit(url).hostname, error)
        entry = _Entry(client, self._now() + fresh_seconds)
        self._cache[url] = entry
        self._cache.move_to_end(url)
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return _known(entry)

    def _accept(self, url: str, body: bytes) -> Client:
        document = parse_object(body)
        if document.get("client_id") != url:
            raise ValueError("its client_id is not its URL")
        if "client_secret" in document:
            raise ValueError("a public document cannot hold a secret")
        try:
            metadata = accept_metadata(document, self._policy, default_method="none")
        except OAuthError as error:
            raise ValueError(str(error)) from None
        if metadata.auth_method.startswith("client_secret_"):
            raise ValueError("a public document cannot lead to a shared secret")
        return client_of(
            url,
            metadata.document(),
            origin="document",
            audience=self._audience,
            unnamed=urlsplit(url).hostname or url,
        )


def _known(entry: _Entry) -> Client:
    if entry.client is None:
        raise InvalidClient("The client's metadata document is not acceptable")
    return entry.client


def fresh_for(headers: httpx.Headers) -> int:
    """Return for how many seconds a response may be used again (RFC 9111 §4.2.1), within our own bounds."""
    directives = [part.strip().lower() for part in headers.get("cache-control", "").split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return 0
    for directive in directives:
        match = re.fullmatch(r'max-age="?([0-9]{1,10})"?', directive)
        if match is not None:
            return _bounded(int(match[1]) - _seconds(headers.get("age")))
    if "expires" in headers:
        return _bounded(_lifetime(headers))
    return DEFAULT_FRESH_SECONDS


def _bounded(seconds: int) -> int:
    return max(0, min(seconds, MAX_FRESH_SECONDS))


def _seconds(value: str | None) -> int:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,10}", value) else 0


def _lifetime(headers: httpx.Headers) -> int:
    try:
        expires = parsedate_to_datetime(headers["expires"])
        return int((expires - parsedate_to_datetime(headers["date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        # RFC 9111 §5.3: an invalid date means already expired.
        return 0
