"""Where an agent learns whom to ask (RFC 9728)."""

import pytest

from tests.mcp_gateway.conftest import RESOURCE, Gateway
from tests.support.issuer import ISSUER


@pytest.mark.requirement("prm-document")
@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]
)
async def test_the_document_needs_no_token_and_any_page_may_read_it(gateway: Gateway, path: str) -> None:
    response = await gateway.http.get(path, headers={"origin": "https://anybody.test"})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.json() == {
        "resource": RESOURCE,
        "resource_name": "Delegant MCP gateway",
        "authorization_servers": [ISSUER],
        "scopes_supported": ["stocks/read"],
        "bearer_methods_supported": ["header"],
    }


async def test_the_gateway_is_alive_and_ready(gateway: Gateway) -> None:
    assert (await gateway.http.get("/livez")).status_code == 200
    assert (await gateway.http.get("/readyz")).json() == {"signing keys": "ok"}
