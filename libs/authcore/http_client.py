"""Pooled, long-lived outbound HTTP: httpx's API over aiohttp's connections.

Plain httpx costs several times the CPU under concurrency (docs/adr/0001); the API stays httpx's, so tests
plug in any `httpx` transport.
"""

import ssl
from dataclasses import dataclass

import httpx
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from authcore.errors import TemporarilyUnavailable

MAX_RESPONSE_BYTES = 256 * 1024


def pooled_client(
    *,
    timeout_seconds: float,
    transport: httpx.AsyncBaseTransport | None = None,
    max_connections: int = 256,
    tls: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """Return a client to keep for the life of the process. It follows no redirects and stores no cookies.

    Args:
        timeout_seconds: limit for connecting, for each read and for a place in the pool.
        transport: stands in for the network in tests.
        max_connections: connections kept to all hosts together.
        tls: trust anchors and client certificate; the system's when absent.
    """
    client = httpx.AsyncClient(
        transport=transport or _network(max_connections, tls or ssl.create_default_context()),
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


async def send_bounded(
    client: httpx.AsyncClient, request: httpx.Request, *, max_bytes: int = MAX_RESPONSE_BYTES
) -> BoundedResponse:
    """Send a request and read at most `max_bytes` of the answer.

    Raises:
        TemporarilyUnavailable: no connection, a timeout, a broken or an oversized answer.
    """
    host = request.url.host
    try:
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise TemporarilyUnavailable(reason=f"{host} sent more than {max_bytes} bytes")
        finally:
            await response.aclose()
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise TemporarilyUnavailable(reason=f"{host}: {type(error).__name__}") from error
    return BoundedResponse(response.status_code, response.headers, bytes(body))
