"""Fetching a small document from a URL that a stranger chose, without being their arm into our network.

The host is resolved once, every address must be public, and the connection goes to an address that was
checked: a name that resolves differently a moment later changes nothing.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from authcore.errors import TemporarilyUnavailable

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host and port, as text."""

MAX_DOCUMENT_BYTES: Final = 16 * 1024
DEADLINE_SECONDS: Final = 5
MAX_CONCURRENT_FETCHES: Final = 8

# All that is routed to somebody (RFC 4291 §2.4); the rest of IPv6 is translated, site-local or not given out.
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
# Of that and of IPv4: what carries or leads to an IPv4 address that could be anybody's, and what is nobody's.
_REFUSED: Final = tuple(
    ipaddress.ip_network(prefix)
    for prefix in ("2002::/16", "2001::/32", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")
)


class FetchRefused(Exception):
    """The document will not be fetched, or is not one. The text is for logs: it tells of our network."""


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """What came."""

    body: bytes
    headers: httpx.Headers


async def system_resolver(host: str, port: int) -> list[str]:
    """Resolve as the operating system does."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=6)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str, *, loopback_too: bool = False) -> bool:
    """Tell whether we may connect to this address on a stranger's behalf."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return loopback_too
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _REFUSED)


def document_transport(ca_file: Path | None) -> httpx.AsyncBaseTransport:
    """Return a transport that never reuses a connection.

    Connections are made to addresses: one that was verified for one host must not serve another that
    resolves to the same address.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return httpx.AsyncHTTPTransport(
        verify=context, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
    )


class PublicFetcher:
    """Fetches JSON over https from public addresses."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        resolve: Resolver,
        *,
        allow_loopback: bool = False,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._client = httpx.AsyncClient(
            transport=transport, timeout=deadline_seconds, follow_redirects=False, trust_env=False
        )
        self._deadline_seconds = deadline_seconds
        self._resolve = resolve
        self._allow_loopback = allow_loopback
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_FETCHES)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._client.aclose()

    async def fetch(self, url: str) -> FetchedDocument:
        """Return the document at an https URL.

        Raises:
            FetchRefused: not at a public address, or the answer is not a small JSON document.
            TemporarilyUnavailable: no answer in time.
        """
        try:
            async with asyncio.timeout(self._deadline_seconds), self._slots:
                request = await self._request(url)
                response = await self._client.send(request, stream=True)
                try:
                    return FetchedDocument(await _body(response), response.headers)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            raise TemporarilyUnavailable(
                "The client's metadata document could not be fetched", reason=type(error).__name__
            ) from error

    async def _request(self, url: str) -> httpx.Request:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        addresses = await self._resolve(host, port)
        # One private address among public ones is a trap, not an accident.
        if not addresses or not all(is_public(a, loopback_too=self._allow_loopback) for a in addresses):
            raise FetchRefused(f"{host} is not at a public address")
        address = addresses[0]
        netloc = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        return self._client.build_request(
            "GET",
            urlunsplit(("https", netloc, parts.path, parts.query, "")),
            headers={"host": parts.netloc, "accept": "application/json", "accept-encoding": "identity"},
            # The certificate must be the host's, although the connection goes to an address.
            extensions={"sni_hostname": host},
        )


async def _body(response: httpx.Response) -> bytes:
    if response.status_code != 200:
        raise FetchRefused(f"answered {response.status_code}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise FetchRefused("not JSON by its media type")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchRefused("compressed, although that was not accepted")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise FetchRefused(f"more than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(body)
