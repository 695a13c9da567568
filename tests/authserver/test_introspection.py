from pathlib import Path

import pytest

from authcore.oauth2_types import MEDIA_TYPE_INTROSPECTION_JWT, MEDIA_TYPE_JWT
from authserver.introspection import preferred_media_type
from tests.authserver.server import API, BROKER, ISSUER, JANE, JOHN, MCP, AuthServer, Json, serving
from tests.support.issuer import Issuer, ec_key


async def test_the_phantom_token_has_all_claims_and_names_no_email(server: AuthServer) -> None:
    client = await server.register()
    token = await server.token(client_id=client["client_id"])
    response = await server.introspect(token, MEDIA_TYPE_JWT)
    assert response.headers["content-type"] == "application/jwt"
    assert response.headers["cache-control"] == "no-store"
    phantom = await server.verified(response.text)
    assert phantom.header["typ"] == "at+jwt"
    now = server.clock()
    opaque = {name: phantom.claims.pop(name) for name in ("sub", "jti", "delegationId")}
    assert all(isinstance(value, str) and len(value) >= 20 for value in opaque.values())
    assert phantom.claims == {
        "iss": ISSUER,
        "aud": MCP,
        "client_id": client["client_id"],
        "scope": "stocks/read",
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "purpose": "read_stock_prices",
        "region": "USA",
        "client_type": "mcp",
        "client_assurance_level": 1,
    }


async def test_the_phantom_token_of_one_token_is_always_the_same_token(server: AuthServer) -> None:
    token = await server.token()
    first = (await server.verified((await server.introspect(token, MEDIA_TYPE_JWT)).text)).claims
    server.clock.seconds += 10
    assert (await server.verified((await server.introspect(token, MEDIA_TYPE_JWT)).text)).claims == first


async def test_users_have_their_own_region_and_a_stable_subject(server: AuthServer) -> None:
    john, jane = await server.token(JOHN), await server.token(JANE)
    johns, janes = (await server.introspect(john)).json(), (await server.introspect(jane)).json()
    assert (johns["region"], janes["region"]) == ("USA", "Europe")
    assert johns["sub"] != janes["sub"]
    again = (await server.introspect(await server.token(JOHN))).json()
    assert again["sub"] == johns["sub"]
    assert again["delegationId"] != johns["delegationId"]


async def test_json_introspection_says_the_same_as_the_phantom_token(server: AuthServer) -> None:
    token = await server.token()
    document = (await server.introspect(token)).json()
    phantom = (await server.verified((await server.introspect(token, MEDIA_TYPE_JWT)).text)).claims
    assert document == {"active": True, "token_type": "Bearer", **phantom}


async def test_rfc_9701_wraps_the_answer_for_the_caller(server: AuthServer) -> None:
    token = await server.token()
    response = await server.introspect(token, MEDIA_TYPE_INTROSPECTION_JWT)
    assert response.headers["content-type"] == MEDIA_TYPE_INTROSPECTION_JWT
    wrapped = await server.verified(response.text)
    assert wrapped.header["typ"] == "token-introspection+jwt"
    assert wrapped.claims["iss"] == ISSUER
    assert wrapped.claims["aud"] == BROKER
    assert "sub" not in wrapped.claims
    assert wrapped.claims["token_introspection"] == (await server.introspect(token)).json()
    inactive = await server.introspect("nonsense", MEDIA_TYPE_INTROSPECTION_JWT)
    assert (await server.verified(inactive.text)).claims["token_introspection"] == {"active": False}


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 20_000, "eyJhbGciOiJub25lIn0.e30."])
async def test_an_unknown_token_is_inactive_and_nothing_more_is_said(server: AuthServer, token: str) -> None:
    assert (await server.introspect(token)).json() == {"active": False}
    phantom = await server.introspect(token, MEDIA_TYPE_JWT)
    assert phantom.status_code == 204
    assert phantom.content == b""


async def test_a_derived_jwt_can_be_introspected(server: AuthServer) -> None:
    token = await server.token()
    derived = (await server.exchange(token)).json()["access_token"]
    document = (await server.introspect(derived)).json()
    assert document["active"] is True
    assert document["aud"] == API
    assert document["act"] == {"sub": BROKER}
    claims = (await server.verified(derived)).claims
    assert {name: document[name] for name in claims} == claims
    server.clock.seconds += 900
    assert (await server.introspect(derived)).json() == {"active": False}


@pytest.mark.attack("RFC 9701 §8.1", "use a signed introspection answer as an access token")
async def test_an_introspection_answer_is_not_a_token(server: AuthServer) -> None:
    token = await server.token()
    answer = (await server.introspect(token, MEDIA_TYPE_INTROSPECTION_JWT)).text
    assert (await server.introspect(answer)).json() == {"active": False}


@pytest.mark.attack("RFC 7662 §4", "introspect as a client that registered itself")
async def test_who_merely_registered_may_not_introspect(server: AuthServer) -> None:
    client = await server.register(token_endpoint_auth_method="client_secret_post")
    form: dict[str, str | None] = {
        "token": await server.token(),
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
    }
    response = await server.post("introspect", form)
    assert response.status_code == 400
    assert response.json()["error"] == "unauthorized_client"


@pytest.mark.attack("RFC 7662 §2.1", "scan for tokens without credentials")
async def test_a_caller_without_credentials_learns_nothing(server: AuthServer) -> None:
    token = await server.token()
    public = await server.register()
    for form in ({"token": token}, {"token": token, "client_id": BROKER}):
        assert (await server.post("introspect", dict(form))).json()["error"] == "invalid_client"
    response = await server.post("introspect", {"token": token, "client_id": public["client_id"]})
    assert response.json()["error"] == "unauthorized_client"


async def test_a_proxy_with_a_configured_secret_may_introspect_by_basic(tmp_path: Path) -> None:
    proxy: Json = {
        "client_id": "api-proxy",
        "token_endpoint_auth_method": "client_secret_basic",
        "client_secret": "a secret: with %",
        "grant_types": [],
        "introspection": True,
    }
    async with serving(tmp_path, clients=[proxy]) as server:
        token = await server.token()
        response = await server.http.post(
            f"{ISSUER}/introspect",
            data={"token": token},
            auth=("api-proxy", "a+secret%3A+with+%25"),
            headers={"accept": MEDIA_TYPE_JWT},
        )
        assert (await server.verified(response.text)).claims["aud"] == MCP


@pytest.mark.attack("RFC 8725 §3.8", "present a JWT signed by somebody else")
async def test_a_jwt_of_another_issuer_or_key_is_inactive(server: AuthServer) -> None:
    forged = Issuer(issuer=ISSUER, key=ec_key("forged")).sign(aud=API)
    assert (await server.introspect(forged)).json() == {"active": False}


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/jwt", MEDIA_TYPE_JWT),
        ("Application/JWT", MEDIA_TYPE_JWT),
        ("application/json, application/jwt", "application/json"),
        ("application/json;q=0.5, application/jwt", MEDIA_TYPE_JWT),
        ("text/html, application/token-introspection+jwt;q=0.9", MEDIA_TYPE_INTROSPECTION_JWT),
        ("application/jwt;q=0", "application/json"),
        ("application/jwt;q=x", "application/json"),
    ],
)
def test_the_accept_header_decides_the_form(accept: str, preferred: str) -> None:
    assert preferred_media_type(accept) == preferred
