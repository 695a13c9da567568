"""Attacks that belong to no single endpoint."""

import json

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.authserver.server import API, CALLBACK, ISSUER, MCP, AuthServer, Json, unverified
from tests.authserver.test_client_auth import assert_refused, introspect
from tests.support.forgery import segment


def compact(header: Json, claims: Json, signature: bytes) -> str:
    return f"{segment(header)}.{segment(claims)}.{segment(signature)}"


@pytest.mark.attack("RFC 9207 §2", "mix up two authorization servers, so that a code goes to the wrong one")
async def test_every_answer_says_which_server_it_comes_from(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    page = await server.log_in(browser, await server.authorize(browser, client["client_id"]))
    page = await browser.submit(page, decision="allow")
    assert page.callback["code"]
    assert page.callback["iss"] == ISSUER
    assert (await server.authorize(browser, client["client_id"], scope="no")).callback["iss"] == ISSUER
    metadata = (await server.http.get(f"{ISSUER}/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == ISSUER
    assert metadata["authorization_response_iss_parameter_supported"] is True


@pytest.mark.attack("RFC 8725 §3.1", "have a JWT accepted without signature, or signed with the public key")
async def test_no_other_algorithm_makes_a_jwt_ours(server: AuthServer) -> None:
    derived = (await server.exchange(await server.token())).json()["access_token"]
    claims = unverified(derived)
    public = (await server.http.get(f"{ISSUER}/jwks")).json()["keys"][0]
    for secret in (json.dumps(public), public["x"], public["kid"]):
        key = OctKey.import_key(secret.ljust(32, "="))
        signed = jwt.encode({"alg": "HS256", "typ": "at+jwt", "kid": public["kid"]}, claims, key)
        assert (await server.introspect(signed)).json() == {"active": False}
    for algorithm in ("none", "None", "NONE", "HS256", "RS256", "ES512", ""):
        header = {"alg": algorithm, "typ": "at+jwt", "kid": public["kid"]}
        for signature in (b"", b"x" * 64):
            forged = compact(header, claims, signature)
            assert (await server.introspect(forged)).json() == {"active": False}
            assert (await server.exchange(forged)).json()["error"] == "invalid_grant"


@pytest.mark.attack("RFC 7515 §5.2", "change a claim of a signed JWT")
async def test_a_changed_claim_breaks_the_signature(server: AuthServer) -> None:
    derived = (await server.exchange(await server.token())).json()["access_token"]
    header, _, signature = derived.split(".")
    for change in ({"scope": "stocks/trade"}, {"aud": MCP}, {"exp": 4_000_000_000}, {"region": "Europe"}):
        payload = compact({}, unverified(derived) | change, b"").split(".")[1]
        assert (await server.introspect(f"{header}.{payload}.{signature}")).json() == {"active": False}


@pytest.mark.attack("RFC 8725 §3.10", "have the server fetch a key that the token itself names")
async def test_a_key_named_by_the_token_is_not_looked_at(server: AuthServer) -> None:
    derived = (await server.exchange(await server.token())).json()["access_token"]
    claims = unverified(derived)
    members: list[Json] = [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x"},
        {"jwk": {}},
    ]
    for member in members:
        forged = compact({"alg": "ES256", "typ": "at+jwt", **member}, claims, b"x" * 64)
        assert (await server.introspect(forged)).json() == {"active": False}


@pytest.mark.attack(
    "RFC 8725 §3.11", "use an assertion without algorithm, or a client's assertion as a token"
)
async def test_an_assertion_is_no_token_and_needs_its_algorithm(server: AuthServer) -> None:
    assertion = server.assertion()
    assert (await server.introspect(str(assertion["client_assertion"]))).json() == {"active": False}
    claims = unverified(str(server.assertion()["client_assertion"]))
    for algorithm in ("none", "HS256"):
        forged = compact({"alg": algorithm, "kid": "broker"}, claims, b"x" * 32)
        assert_refused(await introspect(server, assertion | {"client_assertion": forged}))


@pytest.mark.attack(
    "RFC 6749 §10.14", "put HTML or line breaks into what comes back in a redirect or an error"
)
async def test_nothing_that_was_sent_comes_back_as_html_or_header(server: AuthServer) -> None:
    client = await server.register()
    evil = "<script>alert(1)</script>\r\nx-evil: 1"
    page = await server.authorize(server.browser(), client["client_id"], scope=evil, state=evil)
    location = page.response.headers["location"]
    assert "<" not in location
    assert "x-evil" not in page.response.headers
    for client_id, redirect_uri in ((evil, CALLBACK), (client["client_id"], evil)):
        shown = await server.authorize(server.browser(), client_id, redirect_uri=redirect_uri)
        assert "<script>" not in shown.text
    refused = await server.redeem(client["client_id"], evil)
    assert refused.headers["content-type"] == "application/json"
    assert "<script" not in refused.text


@pytest.mark.attack("RFC 9110 §17.5", "send oversized headers, forms and parameters")
async def test_what_is_too_large_is_refused_before_it_is_read(server: AuthServer) -> None:
    headers = await server.http.get(f"{ISSUER}/jwks", headers={"x-large": "x" * 20_000})
    assert headers.status_code == 431
    form = await server.http.post(f"{ISSUER}/token", data={"code": "x" * 70_000})
    assert form.status_code == 413
    query = await server.http.get(f"{ISSUER}/authorize", params={"state": "x" * 10_000})
    assert query.status_code == 414
    cookie = {"cookie": f"authserver={'x' * 1000}"}
    assert (await server.http.get(f"{ISSUER}/agents", headers=cookie)).status_code == 303


@pytest.mark.attack("RFC 6749 §10.4", "have a refresh token issued that policy does not know")
async def test_no_refresh_token_is_issued_whatever_is_asked_for(server: AuthServer) -> None:
    client = await server.register(grant_types=["authorization_code", "refresh_token"])
    assert client["grant_types"] == ["authorization_code"]
    answer = await server.redeem(client["client_id"], await server.code(client["client_id"]))
    assert "refresh_token" not in answer.json()


@pytest.mark.attack("RFC 9700 §4.2.4", "read a code from the referrer of the page that follows")
async def test_redirects_and_pages_leave_no_referrer(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    page = await server.log_in(browser, await server.authorize(browser, client["client_id"]))
    assert page.response.headers["referrer-policy"] == "no-referrer"
    page = await browser.submit(page, decision="allow")
    assert page.response.headers["location"].startswith(CALLBACK)
    assert page.response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.attack("RFC 9700 §4.12", "have a form with a password sent on by a redirect")
async def test_redirects_after_forms_are_followed_with_get(server: AuthServer) -> None:
    client = await server.register()
    browser = server.browser()
    page = await server.authorize(browser, client["client_id"])
    form = page.fields | {"email": "nobody@demo.example"}
    assert (await browser.http.post(str(page.action), data=form)).status_code == 303


@pytest.mark.attack("RFC 9068 §4", "use a token for one API at another resource")
async def test_a_derived_token_names_one_audience_and_a_type(server: AuthServer) -> None:
    derived = (await server.exchange(await server.token())).json()["access_token"]
    token = await server.verified(derived)
    assert token.claims["aud"] == API
    assert token.header["typ"] == "at+jwt"
