from pathlib import Path

import pytest
from mcp.shared.auth import OAuthMetadata

from tests.authserver.server import ISSUER, ORIGIN, AuthServer, serving

PATH = "/oauth/v2/oauth-anonymous"


@pytest.mark.parametrize(
    "path",
    [
        f"/.well-known/oauth-authorization-server{PATH}",
        f"/.well-known/openid-configuration{PATH}",
        f"{PATH}/.well-known/openid-configuration",
        f"{PATH}/.well-known/oauth-authorization-server",
    ],
)
@pytest.mark.requirement("as-discovery")
async def test_the_metadata_is_the_same_at_every_well_known_path(server: AuthServer, path: str) -> None:
    response = await server.http.get(path)
    assert response.status_code == 200
    document = response.json()
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["client_id_metadata_document_supported"] is True
    assert document["scopes_supported"] == ["approvals", "stocks", "stocks/read", "stocks/trade"]


async def test_an_issuer_without_a_path_is_served_at_the_root(tmp_path: Path) -> None:
    async with serving(tmp_path, issuer=ORIGIN) as server:
        for name in ("oauth-authorization-server", "openid-configuration"):
            document = (await server.http.get(f"/.well-known/{name}")).json()
            assert document["issuer"] == ORIGIN
            assert document["token_endpoint"] == f"{ORIGIN}/token"
        assert await server.token()


async def test_every_advertised_endpoint_is_there(server: AuthServer) -> None:
    document = (await server.http.get(f"/.well-known/oauth-authorization-server{PATH}")).json()
    endpoints = [value for name, value in document.items() if name.endswith(("_endpoint", "jwks_uri"))]
    assert len(endpoints) == 7
    for url in endpoints:
        assert (await server.http.get(url)).status_code != 404
    unbuilt = ("device_authorization_endpoint", "userinfo_endpoint")
    assert not any(name in document for name in unbuilt)


async def test_the_mcp_sdk_reads_the_metadata(server: AuthServer) -> None:
    response = await server.http.get(f"/.well-known/oauth-authorization-server{PATH}")
    parsed = OAuthMetadata.model_validate_json(response.content)
    assert str(parsed.issuer) == ISSUER
    assert parsed.client_id_metadata_document_supported is True


async def test_the_key_set_holds_public_es256_keys_only(server: AuthServer) -> None:
    response = await server.http.get(f"{ISSUER}/jwks")
    assert response.headers["content-type"] == "application/jwk-set+json"
    keys = response.json()["keys"]
    assert len(keys) == 2
    for key in keys:
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
        assert "d" not in key


async def test_keys_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        before = (await server.http.get(f"{ISSUER}/jwks")).json()
        token = await server.token()
        subject = (await server.introspect(token)).json()["sub"]
        broker_key = server.broker_key
    async with serving(tmp_path, broker_key=broker_key) as server:
        assert (await server.http.get(f"{ISSUER}/jwks")).json() == before
        assert (await server.introspect(token)).json()["sub"] == subject


async def test_the_state_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        modes = {file.stat().st_mode & 0o777 for file in server.state_files()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    ("path", "method"), [("jwks", "GET"), ("register", "POST"), ("token", "POST"), ("", "GET")]
)
async def test_browser_clients_may_call_across_origins_without_credentials(
    server: AuthServer, path: str, method: str
) -> None:
    url = f"{ISSUER}/{path}" if path else f"/.well-known/oauth-authorization-server{PATH}"
    preflight = await server.http.options(
        url,
        headers={
            "origin": "https://inspector.example",
            "access-control-request-method": method,
            "access-control-request-headers": "content-type,mcp-protocol-version",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
    answer = await server.http.request(method, url, headers={"origin": "https://inspector.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["introspect", "login", "consent", "inbox.json"])
async def test_nothing_else_is_open_across_origins(server: AuthServer, path: str) -> None:
    url = "/inbox.json" if path == "inbox.json" else f"{ISSUER}/{path}"
    answer = await server.http.get(url, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_health_and_counters_answer(server: AuthServer) -> None:
    assert (await server.http.get("/livez")).status_code == 200
    assert (await server.http.get("/readyz")).status_code == 200
    token = await server.token()
    await server.introspect(token)
    await server.exchange(token)
    await server.exchange("nonsense")
    assert await server.counters() == {
        "authorization": 1,
        "pushed_authorization": 0,
        "registration": 1,
        "authorization_code": 1,
        "client_credentials": 0,
        "jwt_bearer": 0,
        "refresh_token": 0,
        "token_exchange": 2,
        "introspection": 1,
        "revocation": 0,
    }
