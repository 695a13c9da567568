"""The client under test in the suite's DPoP scenarios: the MCP SDK's, with the proofs of our journeys.

`python -m tests.conformance.dpop_client URL`
"""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from pydantic import AnyUrl

from authcore.clock import system_clock
from demo.agent import Wallet
from tests.support.dpop import DPoPKey
from tests.support.dpop_transport import DPoPTransport

REDIRECT_URI = "http://127.0.0.1:33418/callback"


async def main(url: str) -> None:
    """Authorize, list the tools and call the first."""
    answers: list[dict[str, list[str]]] = []

    async def redirect(authorize: str) -> None:
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(authorize)
            answers.append(parse_qs(urlsplit(answer.headers["location"]).query))

    async def callback() -> AuthorizationCodeResult:
        given = {name: values[0] for name, values in answers[-1].items()}
        return AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))

    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="Agent with a key",
            redirect_uris=[AnyUrl(REDIRECT_URI)],
            token_endpoint_auth_method="none",
        ),
        storage=Wallet(),
        redirect_handler=redirect,
        callback_handler=callback,
    )
    transport = DPoPTransport(DPoPKey(system_clock))
    async with (
        httpx2.AsyncClient(auth=provider, transport=transport, timeout=httpx2.Timeout(20.0)) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = (await client.list_tools()).tools
        if tools:
            await client.call_tool(tools[0].name, {})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
