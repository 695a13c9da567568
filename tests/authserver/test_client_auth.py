import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws

from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from tests.authserver.server import BROKER, ISSUER, AuthServer, Json, public_jwks, serving
from tests.support.issuer import ec_key


def assert_refused(response: httpx.Response, error: str = "invalid_client") -> None:
    assert response.status_code == (401 if error == "invalid_client" else 400), response.text
    assert response.json()["error"] == error
    assert response.headers["cache-control"] == "no-store"


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


async def introspect(server: AuthServer, form: Json, **headers: str) -> httpx.Response:
    return await server.post("introspect", {"token": "x"} | form, **headers)


async def test_an_assertion_is_accepted_for_the_issuer_and_both_endpoints(server: AuthServer) -> None:
    for audience in (ISSUER, f"{ISSUER}/token", f"{ISSUER}/introspect"):
        assert (await introspect(server, server.assertion(audience))).status_code == 200


@pytest.mark.attack("RFC 7523 §3", "use an assertion that was made for another server")
async def test_an_assertion_for_somebody_else_is_refused(server: AuthServer) -> None:
    for audience in ("https://other.example", f"{ISSUER}/", f"{ISSUER}/register", "http://127.0.0.1:8081"):
        assert_refused(await introspect(server, server.assertion(audience)))


@pytest.mark.attack("RFC 7521 §8.2", "replay an assertion, also after a restart")
async def test_a_replayed_assertion_is_refused_even_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assertion, broker_key = server.assertion(), server.broker_key
        assert (await introspect(server, assertion)).status_code == 200
        assert_refused(await introspect(server, assertion))
    async with serving(tmp_path, broker_key=broker_key) as server:
        assert_refused(await introspect(server, assertion))


@pytest.mark.attack("RFC 7521 §8.1", "sign an assertion with a key of the same name")
async def test_an_assertion_signed_with_another_key_is_refused(server: AuthServer) -> None:
    assert_refused(await introspect(server, server.assertion(key=ec_key("broker"))))


@pytest.mark.attack("RFC 7521 §5.2", "use an assertion after its time")
async def test_an_expired_assertion_is_refused(server: AuthServer) -> None:
    assertion = server.assertion()
    server.clock.seconds += 120
    assert_refused(await introspect(server, assertion))


@pytest.mark.attack("RFC 7521 §4.2", "name another client beside the assertion")
async def test_an_assertion_must_match_the_client_id_beside_it(server: AuthServer) -> None:
    assert_refused(await introspect(server, server.assertion() | {"client_id": "somebody"}))
    assertion = server.assertion()
    del assertion["client_id"]
    assert (await introspect(server, assertion)).status_code == 200


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("invalid_client", {"client_assertion": "nonsense"}),
        ("invalid_client", {"client_assertion": "e30.e30.e30"}),
        ("invalid_request", {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2"}),
        ("invalid_request", {"client_assertion_type": None}),
        ("invalid_request", {"client_assertion": None}),
        ("invalid_request", {"client_secret": "also"}),
    ],
)
@pytest.mark.attack("RFC 6749 §2.3", "authenticate in two ways at once")
async def test_malformed_or_doubled_credentials_are_refused(
    server: AuthServer, error: str, changes: dict[str, Any]
) -> None:
    assert_refused(await introspect(server, server.assertion() | changes), error)


@pytest.mark.attack("RFC 9700 §2.5", "downgrade client authentication to none or to a secret")
async def test_a_client_without_the_method_it_is_registered_with_is_refused(server: AuthServer) -> None:
    post = await server.register(token_endpoint_auth_method="client_secret_post")
    public = await server.register()
    client_id, secret = post["client_id"], post["client_secret"]
    code = {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43}
    wrong: list[tuple[Json, dict[str, str]]] = [
        ({"client_id": client_id}, {}),
        ({"client_id": client_id, "client_secret": "wrong"}, {}),
        ({}, {"authorization": basic(client_id, secret)}),
        ({"client_id": public["client_id"], "client_secret": "x"}, {}),
        ({"client_id": "unknown", "client_secret": "x"}, {}),
        ({"client_id": "unknown"}, {}),
        ({"client_id": BROKER}, {}),
        ({}, {}),
    ]
    for form, headers in wrong:
        assert_refused(await server.post("token", code | form, **headers))
    accepted = await server.post("token", code | {"client_id": client_id, "client_secret": secret})
    assert_refused(accepted, "invalid_grant")


async def test_basic_credentials_are_form_decoded_and_refused_with_a_challenge(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_basic")
    form: dict[str, str | None] = {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43}
    good = basic(client["client_id"].replace("-", "%2D"), client["client_secret"])
    assert_refused(await server.post("token", form, authorization=good), "invalid_grant")
    for header in (basic(client["client_id"], "wrong"), "Basic !", "Basic", "basic " + "eA=="):
        response = await server.post("token", form, authorization=header)
        assert_refused(response)
        assert response.headers["www-authenticate"].startswith("Basic realm=")
    other = await server.post("token", form, authorization="Bearer x")
    assert_refused(other)
    assert "www-authenticate" not in other.headers


@pytest.mark.attack("RFC 6749 §2.3.1", "have credentials end up in logs as URLs")
async def test_credentials_in_the_query_count_for_nothing(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_post")
    url = f"{ISSUER}/token?client_id={client['client_id']}&client_secret={client['client_secret']}"
    response = await server.http.post(url, data={"grant_type": "authorization_code", "code": "x"})
    assert_refused(response)


async def test_no_refusal_repeats_what_was_sent(server: AuthServer) -> None:
    form = {
        "client_id": BROKER,
        "client_assertion_type": CLIENT_ASSERTION_JWT_BEARER,
        "client_assertion": "c2VjcmV0.c2VjcmV0.c2VjcmV0",
    }
    assert "c2VjcmV0" not in (await introspect(server, dict(form))).text


async def test_a_form_that_is_no_form_is_refused(server: AuthServer) -> None:
    for endpoint in ("token", "introspect"):
        response = await server.http.post(f"{ISSUER}/{endpoint}", json={"token": "x"})
        assert_refused(response, "invalid_request")
        huge = await server.http.post(f"{ISSUER}/{endpoint}", data={"token": "x" * 70_000})
        assert huge.status_code in (400, 413)


@pytest.mark.attack("RFC 7523 §3", "break the server with an assertion whose jti UTF-8 cannot hold")
async def test_an_assertion_is_used_once_whatever_its_jti_is(server: AuthServer) -> None:
    key = ec_key("agent")
    client = await server.register(token_endpoint_auth_method="private_key_jwt", jwks=public_jwks(key))
    for token_id in ("\\ud800", "\\u0000", "x" * 4000):
        claims = (
            f'{{"iss": "{client["client_id"]}", "sub": "{client["client_id"]}", "aud": "{ISSUER}",'
            f' "exp": {server.clock() + 60}, "jti": "{token_id}"}}'
        )
        assertion = jws.serialize_compact({"alg": "ES256", "kid": "agent"}, claims, key)
        form = {
            "token": "unknown",
            "client_id": client["client_id"],
            "client_assertion_type": CLIENT_ASSERTION_JWT_BEARER,
            "client_assertion": assertion,
        }
        assert (await server.post("revoke", form)).status_code == 200
        assert (await server.post("revoke", form)).json()["error"] == "invalid_client"
