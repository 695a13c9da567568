import json
from typing import Any

import pytest
from mcp.shared.auth import OAuthClientInformationFull

from tests.authserver.server import CALLBACK, ISSUER, AuthServer, Json, public_jwks
from tests.support.issuer import ec_key


async def refused(server: AuthServer, **metadata: Any) -> str:
    document = {"redirect_uris": ["https://client.example/cb"]} | metadata
    response = await server.http.post(f"{ISSUER}/register", json=document)
    assert response.status_code == 400, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()["error"]


async def test_a_public_client_gets_an_id_and_no_secret(server: AuthServer) -> None:
    client = await server.register()
    assert client["token_endpoint_auth_method"] == "none"
    assert client["client_id_issued_at"] == server.clock()
    assert "client_secret" not in client
    assert client["grant_types"] == ["authorization_code"]
    assert client["response_types"] == ["code"]
    assert client["scope"] == "approvals stocks stocks/read stocks/trade"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_with_a_secret_learns_when_it_expires(server: AuthServer, method: str) -> None:
    client = await server.register(token_endpoint_auth_method=method)
    assert len(client["client_secret"]) == 43
    assert client["client_secret_expires_at"] == 0


async def test_the_default_method_is_the_one_of_rfc_7591(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method=None)
    assert client["token_endpoint_auth_method"] == "client_secret_basic"


async def test_grant_types_beyond_policy_are_trimmed(server: AuthServer) -> None:
    client = await server.register(
        grant_types=["authorization_code", "refresh_token"], client_uri="https://client.example"
    )
    assert client["grant_types"] == ["authorization_code"]
    assert client["client_uri"] == "https://client.example"


@pytest.mark.attack("RFC 7591 §2", "claim a scope, lifetime, audience or client type in metadata")
@pytest.mark.requirement("as-registration")
async def test_policy_holds_whatever_the_client_claims_of_itself(server: AuthServer) -> None:
    client = await server.register(
        scope="admin openid", audience="https://other.example", client_type="human", client_assurance_level=9
    )
    assert client["scope"] == "approvals stocks stocks/read stocks/trade"
    token = await server.token(client_id=client["client_id"])
    claims = (await server.introspect(token)).json()
    assert claims["client_type"] == "mcp"
    assert claims["client_assurance_level"] == 1


async def test_a_client_with_its_own_key_has_a_higher_assurance_level(server: AuthServer) -> None:
    key = ec_key("agent")
    client = await server.register(
        token_endpoint_auth_method="private_key_jwt", jwks=public_jwks(key), client_name="Keyed"
    )
    assert client["jwks"]["keys"][0]["kid"] == "agent"
    code = await server.code(client["client_id"])
    assertion = server.assertion(client_id=client["client_id"], key=key)
    token = (await server.redeem(client["client_id"], code, **assertion)).json()["access_token"]
    assert (await server.introspect(token)).json()["client_assurance_level"] == 2


@pytest.mark.parametrize(
    ("error", "metadata"),
    [
        ("invalid_redirect_uri", {"redirect_uris": []}),
        ("invalid_redirect_uri", {"redirect_uris": None}),
        ("invalid_redirect_uri", {"redirect_uris": "https://client.example/cb"}),
        ("invalid_redirect_uri", {"redirect_uris": ["https://client.example/cb"] * 21}),
        ("invalid_client_metadata", {"grant_types": ["client_credentials"]}),
        ("invalid_client_metadata", {"response_types": ["token"]}),
        ("invalid_client_metadata", {"token_endpoint_auth_method": "tls_client_auth"}),
        ("invalid_client_metadata", {"token_endpoint_auth_method": "private_key_jwt"}),
        (
            "invalid_client_metadata",
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://client.example/jwks"},
        ),
        ("invalid_client_metadata", {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}),
        ("invalid_client_metadata", {"client_name": 7}),
    ],
)
@pytest.mark.attack("RFC 7591 §3.2.2", "register what the server would have to fetch or cannot check")
async def test_unacceptable_metadata_is_refused_by_its_rfc_name(
    server: AuthServer, error: str, metadata: Json
) -> None:
    assert await refused(server, **metadata) == error


async def test_a_private_key_sent_by_mistake_is_refused(server: AuthServer) -> None:
    jwks = {"keys": [ec_key().as_dict(private=True)]}
    assert await refused(server, token_endpoint_auth_method="private_key_jwt", jwks=jwks) == (
        "invalid_client_metadata"
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b"[" * 20000, b'"x"'])
@pytest.mark.attack("RFC 8259 §9", "nest JSON until the parser gives up")
async def test_a_body_that_is_no_json_object_is_refused(server: AuthServer, body: bytes) -> None:
    response = await server.http.post(
        f"{ISSUER}/register", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_client_metadata"


@pytest.mark.attack("RFC 9110 §17.5", "register an oversized document")
async def test_an_oversized_body_is_refused(server: AuthServer) -> None:
    response = await server.http.post(
        f"{ISSUER}/register", json={"redirect_uris": ["https://client.example/cb"], "x": "y" * 70_000}
    )
    assert response.status_code == 413


@pytest.mark.attack("RFC 6749 §10.11", "pass for another client with invisible or reversing characters")
async def test_a_name_is_shown_on_one_line_without_invisible_characters(server: AuthServer) -> None:
    client = await server.register(client_name="  Nice\n\u202eexe\u200b agent " + "x" * 200)
    assert client["client_name"].startswith("Nice exe agent xxx")
    assert len(client["client_name"]) == 80


async def test_malformed_optional_members_are_dropped_not_refused(server: AuthServer) -> None:
    client = await server.register(
        client_uri="javascript:alert(1)", logo_uri=7, tos_uri="", policy_uri=None, software_id="agent"
    )
    assert not {"client_uri", "logo_uri", "tos_uri", "policy_uri"} & set(client)
    assert client["software_id"] == "agent"


@pytest.mark.attack("RFC 6819 §5.1.4.1.3", "read secrets and tokens from the database")
async def test_secrets_are_not_stored_in_the_clear(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_post")
    token_response = await server.redeem(
        client["client_id"], await server.code(client["client_id"]), client_secret=client["client_secret"]
    )
    token = token_response.json()["access_token"]
    state = b"".join(file.read_bytes() for file in server.state_files())
    assert client["client_id"].encode() in state
    assert client["client_secret"].encode() not in state
    assert token.encode() not in state


async def test_the_mcp_sdk_reads_the_registration(server: AuthServer) -> None:
    for method in ("none", "client_secret_post", None):
        client = await server.register(token_endpoint_auth_method=method)
        parsed = OAuthClientInformationFull.model_validate(client)
        assert parsed.client_id == client["client_id"]
        assert parsed.grant_types == ["authorization_code"]


@pytest.mark.attack(
    "RFC 8259 §8.2", "break the server with half a surrogate pair, which JSON can hold and UTF-8 cannot"
)
async def test_half_a_character_is_refused_wherever_a_document_holds_it(server: AuthServer) -> None:
    half, uris = "\\ud800", f'"redirect_uris": ["{CALLBACK}"]'
    client = await server.register(token_endpoint_auth_method="client_secret_basic")
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {client['registration_access_token']}",
    }
    key = json.dumps(ec_key("agent").as_dict(private=False) | {"kid": "HALF"})
    documents = (
        f'{{{uris}, "client_name": "{half}"}}',
        f'{{{uris}, "jwks": {{"keys": [{key}]}}, "token_endpoint_auth_method": "private_key_jwt"}}',
        f'{{{uris}, "client_id": "{client["client_id"]}", "client_secret": "{half}"}}',
        f'{{{uris}, "{half}": 1}}',
    )
    for document in documents:
        body = document.replace("HALF", half)
        posted = await server.http.post(f"{ISSUER}/register", content=body, headers=headers)
        put = await server.http.put(client["registration_client_uri"], content=body, headers=headers)
        for answer in (posted, put):
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")
