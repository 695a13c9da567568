"""The MCP SDK's own OAuth client against this server: discovery, registration, PKCE, `iss`, token."""

from urllib.parse import urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.authserver.server import CALLBACK, ISSUER, MCP, AuthServer

MCP_METADATA = "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"


class Storage:
    """Keeps what the client must keep."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def protected_resource() -> Starlette:
    async def mcp(request: Request) -> Response:
        if request.headers.get("authorization", "").startswith("Bearer "):
            return JSONResponse({"authorization": request.headers["authorization"]})
        challenge = f'Bearer resource_metadata="{MCP_METADATA}", scope="stocks/read"'
        return Response(status_code=401, headers={"www-authenticate": challenge})

    async def metadata(_: Request) -> Response:
        document = {"resource": MCP, "authorization_servers": [ISSUER], "scopes_supported": ["stocks/read"]}
        return JSONResponse(document)

    return Starlette(
        routes=[Route("/mcp", mcp), Route(urlsplit(MCP_METADATA).path, metadata)],
    )


async def test_the_sdks_client_gets_a_token_without_any_configuration(server: AuthServer) -> None:
    browser = server.browser()
    answer: dict[str, str] = {}

    async def open_browser(url: str) -> None:
        page = await server.log_in(browser, await browser.open(url))
        answer.update((await browser.submit(page, decision="allow")).callback)

    async def callback() -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(answer)

    storage = Storage()
    provider = OAuthClientProvider(
        MCP,
        OAuthClientMetadata(client_name="SDK agent", redirect_uris=[AnyUrl(CALLBACK)]),
        storage,
        open_browser,
        callback,
    )
    network = {
        "http://127.0.0.1:8080": httpx2.ASGITransport(protected_resource()),
        "http://127.0.0.1:8090": httpx2.ASGITransport(server.app),
    }
    async with httpx2.AsyncClient(mounts=network, auth=provider, trust_env=False) as agent:
        response = await agent.get(MCP)
    assert response.status_code == 200
    assert storage.tokens is not None
    assert response.json() == {"authorization": f"Bearer {storage.tokens.access_token}"}
    assert storage.tokens.expires_in == 900
    assert storage.tokens.refresh_token is None
    assert (await server.introspect(storage.tokens.access_token)).json()["aud"] == MCP
