"""Pooled, long-lived outbound HTTP: httpx's API over aiohttp's connections.

Plain httpx costs several times the CPU under concurrency (docs/adr/0001); the API stays httpx's, so tests
plug in any `httpx` transport.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from authcore.errors import TemporarilyUnavailable
from authcore.tls import trusting_context

MAX_RESPONSE_BYTES = 256 * 1024
DEADLINE_SECONDS = 10.0
MAX_RETRY_AFTER_SECONDS = 60


def pooled_client(
    *,
    timeout_seconds: float,
    transport: httpx.AsyncBaseTransport | None = None,
    max_connections: int = 256,
    ca_file: Path | None = None,
) -> httpx.AsyncClient:
    """Return a client to keep for the life of the process. It follows no redirects and stores no cookies.

    Args:
        timeout_seconds: limit for connecting, for each read and for a place in the pool.
        transport: stands in for the network in tests.
        max_connections: connections kept to all hosts together.
        ca_file: PEM of authorities trusted besides the system's.
    """
    client = httpx.AsyncClient(
        transport=transport or _network(max_connections, trusting_context(ca_file)),
        timeout=timeout_seconds,
        follow_redirects=False,
        trust_env=False,
    )
    HTTPXClientInstrumentor.instrument_client(client)
    return client


def _network(max_connections: int, context: ssl.SSLContext) -> AiohttpTransport:
    def session() -> ClientSession:
        connector = TCPConnector(limit=max_connections, ssl=context, keepalive_timeout=30)
        # A shared client must not carry one user's cookies into another's request.
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)

    return AiohttpTransport(client=session, verify=context)


@dataclass(frozen=True, slots=True)
class BoundedResponse:
    """A response that was read whole and is known to be small."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters; empty when absent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after_seconds(self) -> int:
        """When to ask again: what `Retry-After` says, within reason (RFC 9110 §10.2.3)."""
        value = self.headers.get("retry-after", "")
        seconds = int(value) if value.isascii() and value.isdigit() and len(value) < 5 else 5
        return min(max(seconds, 1), MAX_RETRY_AFTER_SECONDS)


async def send_bounded(
    client: httpx.AsyncClient,
    request: httpx.Request,
    *,
    max_bytes: int = MAX_RESPONSE_BYTES,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> BoundedResponse:
    """Send a request and read at most `max_bytes` of the answer, all of it within the deadline.

    The client's own timeouts are for each read: a server that drips would never meet them. Compressed answers
    are not accepted: a small one could become a huge one.

    Raises:
        TemporarilyUnavailable: no connection, too slow, a broken or an oversized answer.
    """
    host = request.url.host
    request.headers["accept-encoding"] = "identity"
    try:
        async with asyncio.timeout(deadline_seconds):
            response = await client.send(request, stream=True)
            try:
                body = await _read(response, max_bytes)
            finally:
                await response.aclose()
    except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
        raise TemporarilyUnavailable(reason=f"{host}: {type(error).__name__}") from error
    return BoundedResponse(response.status_code, response.headers, body)


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    host = response.request.url.host
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise TemporarilyUnavailable(reason=f"{host} sent a compressed answer")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise TemporarilyUnavailable(reason=f"{host} sent more than {max_bytes} bytes")
    return bytes(body)
