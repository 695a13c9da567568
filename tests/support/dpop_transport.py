"""What an MCP client that knows nothing of DPoP lacks: its requests carry proofs (RFC 9449 §5, §7 to §9)."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.dpop import DPoPKey

REFUSED = (400, 401)


@dataclass
class DPoPTransport(httpx2.AsyncBaseTransport):
    """Adds a proof to each request for a token and with a token, and repeats one that wants a nonce."""

    key: DPoPKey
    network: httpx2.AsyncBaseTransport = field(
        default_factory=lambda: httpx2.AsyncHTTPTransport(trust_env=False)
    )
    nonces: dict[str, str] = field(default_factory=dict[str, str])

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        response = await self.network.handle_async_request(self._proven(request, self.nonces.get(origin)))
        nonce = response.headers.get("dpop-nonce")
        if nonce is not None:
            self.nonces[origin] = nonce
        if nonce is not None and response.status_code in REFUSED:
            await response.aclose()
            response = await self.network.handle_async_request(self._proven(request, nonce))
        return await _as_bearer(response)

    def _proven(self, request: httpx2.Request, nonce: str | None) -> httpx2.Request:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bound = scheme.lower() in ("bearer", "dpop")
        if not bound and b"grant_type=" not in request.content:
            return request
        if bound:
            request.headers["authorization"] = f"DPoP {token}"
        url = str(request.url.copy_with(query=None, fragment=None))
        presented = token if bound else None
        request.headers["dpop"] = self.key.proof(request.method, url, presented, nonce=nonce)
        return request

    async def aclose(self) -> None:
        await self.network.aclose()


async def _as_bearer(response: httpx2.Response) -> httpx2.Response:
    """Call a token what the SDK expects: by which scheme it is presented is ours to know."""
    if not response.headers.get("content-type", "").startswith("application/json"):
        return response
    document: dict[str, Any] = json.loads(await response.aread())
    if document.get("token_type") != "DPoP":
        return response
    return httpx2.Response(response.status_code, json=document | {"token_type": "Bearer"})
