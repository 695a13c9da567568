"""RFC 7592: a client and its registration."""

import httpx
import pytest

from tests.authserver.server import AuthServer, Json, public_jwks
from tests.support.issuer import ec_key

NOT_SENT_BACK = ("registration_access_token", "registration_client_uri", "client_id_issued_at")


async def manage(server: AuthServer, client: Json, method: str = "GET", **document: object) -> httpx.Response:
    return await server.http.request(
        method,
        client["registration_client_uri"],
        headers={"authorization": f"Bearer {client['registration_access_token']}"},
        json=document if method == "PUT" else None,
    )


def change_of(client: Json, **changes: object) -> Json:
    kept = {name: value for name, value in client.items() if name not in NOT_SENT_BACK}
    kept.pop("client_secret_expires_at", None)
    return kept | changes


async def test_a_client_reads_what_was_registered_except_its_secret(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_basic")
    assert client["registration_client_uri"] == f"{server.issuer}/register/{client['client_id']}"
    response = await manage(server, client)
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    told_once = {"client_secret", "client_secret_expires_at"}
    assert response.json() == {name: client[name] for name in client.keys() - told_once}


async def test_only_the_holder_of_the_token_gets_at_a_registration(server: AuthServer) -> None:
    client, other = await server.register(), await server.register()
    stolen = client | {"registration_access_token": other["registration_access_token"]}
    unknown = client | {"registration_client_uri": f"{server.issuer}/register/unknown"}
    for method in ("GET", "PUT", "DELETE"):
        for wrong in (stolen, unknown):
            response = await manage(server, wrong, method)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    bare = await server.http.get(client["registration_client_uri"])
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
    assert (await manage(server, client)).status_code == 200


async def test_the_registration_token_is_not_stored_in_clear(server: AuthServer) -> None:
    token = (await server.register())["registration_access_token"].encode()
    assert all(token not in file.read_bytes() for file in server.state_files())


async def test_a_change_replaces_the_whole_registration_within_policy(server: AuthServer) -> None:
    client = await server.register(client_uri="https://client.example")
    changed = change_of(
        client,
        client_name="Renamed",
        redirect_uris=["https://new.example/cb"],
        grant_types=["authorization_code", "refresh_token"],
        scope="admin",
        client_assurance_level=9,
    )
    del changed["client_uri"]
    answer = (await manage(server, client, "PUT", **changed)).json()
    assert answer["grant_types"] == ["authorization_code"]
    assert answer["scope"] == client["scope"]
    assert (answer["client_name"], "client_uri" in answer) == ("Renamed", False)
    assert answer == (await manage(server, client)).json()
    page = await server.authorize(server.browser(), client["client_id"])
    assert "did not register" in page.text


async def test_a_secret_stays_comes_or_goes_with_the_method(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_post")
    same = (await manage(server, client, "PUT", **change_of(client))).json()
    assert "client_secret" not in same
    form: Json = {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43}
    proof: Json = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    assert (await server.post("token", form | proof)).json()["error"] == "invalid_grant"
    await manage(server, client, "PUT", **change_of(client, token_endpoint_auth_method="none"))
    assert (await server.post("token", form | proof)).json()["error"] == "invalid_client"
    without = {name: value for name, value in change_of(client).items() if name != "client_secret"}
    back = (await manage(server, client, "PUT", **without)).json()
    assert back["client_secret"] != client["client_secret"]
    keyed = without | {"token_endpoint_auth_method": "private_key_jwt", "jwks": public_jwks(ec_key("a"))}
    assert "client_secret" not in (await manage(server, client, "PUT", **keyed)).json()


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("invalid_client_metadata", {"client_id": "another"}),
        ("invalid_client_metadata", {"client_secret": "not its own"}),
        ("invalid_client_metadata", {"registration_access_token": "x"}),
        ("invalid_client_metadata", {"token_endpoint_auth_method": "tls_client_auth"}),
        ("invalid_redirect_uri", {"redirect_uris": ["http://evil.example/cb"]}),
        ("invalid_redirect_uri", {"redirect_uris": []}),
    ],
)
async def test_a_change_that_is_not_acceptable_changes_nothing(
    server: AuthServer, error: str, changes: Json
) -> None:
    client = await server.register()
    response = await manage(server, client, "PUT", **change_of(client, **changes))
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert (await manage(server, client)).json() == client


async def test_a_changed_client_has_to_ask_users_again(server: AuthServer) -> None:
    client, browser = await server.register(), server.browser()
    await server.code(client["client_id"], browser=browser)
    assert "code" in (await server.authorize(browser, client["client_id"])).callback
    await manage(server, client, "PUT", **change_of(client, client_name="Somebody else"))
    page = await server.authorize(browser, client["client_id"])
    assert "Somebody else" in page.text


async def test_a_client_that_withdraws_takes_its_delegations_with_it(server: AuthServer) -> None:
    client = await server.register()
    token = await server.token(client_id=client["client_id"])
    derived = (await server.exchange(token)).json()["access_token"]
    assert (await manage(server, client, "DELETE")).status_code == 204
    for presented in (token, derived):
        assert (await server.introspect(presented)).json() == {"active": False}
    assert (await manage(server, client)).status_code == 401
    assert "not registered" in (await server.authorize(server.browser(), client["client_id"])).text
