"""How the demo's own clients reach it: whom they trust, and where its host names lead."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from authcore.tls import trusting_context
from demo.ports import HOST

DOMAIN: Final = "demo.example"
"""No such domain exists, nor ever will (RFC 2606 §3)."""


ResponseHook = Callable[[httpx2.Response], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Network:
    """Makes HTTP clients that find the demo by its names, on a machine that was told nothing of them."""

    ca_file: Path | None = None
    """The authority to trust besides the system's."""

    def transport(self) -> httpx2.AsyncBaseTransport:
        """Return what a client connects with."""
        tls = True if self.ca_file is None else trusting_context(self.ca_file)
        return _NamesOfTheDemo(httpx2.AsyncHTTPTransport(verify=tls, trust_env=False))

    def client(
        self,
        *,
        timeout_seconds: float,
        auth: httpx2.Auth | None = None,
        on_response: ResponseHook | None = None,
    ) -> httpx2.AsyncClient:
        """Return a client that follows no redirects."""
        return httpx2.AsyncClient(
            transport=self.transport(),
            auth=auth,
            timeout=httpx2.Timeout(timeout_seconds),
            follow_redirects=False,
            trust_env=False,
            event_hooks={"response": [on_response]} if on_response is not None else {},
        )


class _NamesOfTheDemo(httpx2.AsyncBaseTransport):
    """Connects to loopback for the demo's names, and checks the certificate for the name all the same."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request where its name leads."""
        host = request.url.host
        if host != DOMAIN and not host.endswith("." + DOMAIN):
            return await self._inner.handle_async_request(request)
        # The `Host` header was made from the name, and stays.
        sent = httpx2.Request(
            request.method,
            request.url.copy_with(host=HOST),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
