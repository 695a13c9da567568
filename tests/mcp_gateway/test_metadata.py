"""Where an agent learns whom to ask (RFC 9728)."""

from pathlib import Path

import pytest

from authcore.service import load_settings
from mcp_gateway.hosts import normal_url
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import RESOURCE, Gateway
from tests.support.issuer import ISSUER


@pytest.mark.requirement("issuer-exact")
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
        "scopes_supported": ["stocks/read", "stocks/trade"],
        "bearer_methods_supported": ["header"],
    }


async def test_the_gateway_is_alive_and_ready(gateway: Gateway) -> None:
    assert (await gateway.http.get("/livez")).status_code == 200
    assert (await gateway.http.get("/readyz")).json() == {"signing keys": "ok"}


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"kty": "EC"}'])
def test_a_client_key_that_cannot_sign_stops_the_start_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    key_file = tmp_path / "key.json"
    if content is not None:
        key_file.write_text(content)
    for name in ("RESOURCE", "JWKS_URI", "BROKER_URL", "API_URL"):
        monkeypatch.setenv(f"GATEWAY_{name}", f"https://{name.lower().replace('_', '-')}.test/mcp")
    monkeypatch.setenv("GATEWAY_ISSUER", ISSUER)
    monkeypatch.setenv("GATEWAY_API_AUDIENCE", "https://api.demo.example")
    monkeypatch.setenv("GATEWAY_BROKER_CLIENT_KEY_FILE", str(key_file))
    with pytest.raises(SystemExit):
        load_settings(Settings)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("GATEWAY_BROKER_CLIENT_KEY_FILE: ")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("HTTPS://MCP.Demo.example:443/mcp", "https://mcp.demo.example/mcp"),
        ("http://[::1]:80/mcp", "http://[::1]/mcp"),
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/mcp"),
        ("https://mcp.demo.example", "https://mcp.demo.example"),
    ],
)
def test_a_resource_has_one_spelling(written: str, canonical: str) -> None:
    assert normal_url(written) == canonical


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "https://", "https://u:p@a/b", "https://a/?b", "https://a/#b", "mcp"]
)
def test_what_cannot_be_a_resource_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        normal_url(url)
