"""DPoP (RFC 9449): tokens that are of use to the holder of a key alone."""

import hashlib
import hmac
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from authcore.dpop_nonces import PERIOD_SECONDS
from authcore.oauth2_types import MEDIA_TYPE_JWT
from tests.authserver.server import (
    CALLBACK,
    VERIFIER,
    AuthServer,
    authorization_request,
    challenge_of,
    serving,
)
from tests.support.dpop import DPoPKey
from tests.support.issuer import ec_key

KEY = ec_key("agent")


def proof(server: AuthServer, key: ECKey | RSAKey = KEY, /, **changes: Any) -> str:
    return DPoPKey(server.clock, key).proof("POST", f"{server.issuer}/token", **changes)


async def redeem(server: AuthServer, client_id: str, code: str, dpop: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return await server.http.post(f"{server.issuer}/token", data=form, headers={"dpop": dpop})


async def agent(server: AuthServer, **metadata: Any) -> str:
    return str((await server.register(**metadata))["client_id"])


async def bound_token(server: AuthServer) -> str:
    client_id = await agent(server)
    response = await redeem(server, client_id, await server.code(client_id), proof(server))
    assert response.json()["token_type"] == "DPoP", response.text
    return response.json()["access_token"]


async def test_a_token_is_bound_in_every_form_it_takes(server: AuthServer) -> None:
    token = await bound_token(server)
    document = (await server.introspect(token)).json()
    assert (document["token_type"], document["cnf"]) == ("DPoP", {"jkt": KEY.thumbprint()})
    phantom = (await server.introspect(token, MEDIA_TYPE_JWT)).text
    assert (await server.verified(phantom)).claims["cnf"] == {"jkt": KEY.thumbprint()}
    assert (await server.introspect(phantom)).json()["cnf"] == {"jkt": KEY.thumbprint()}


async def test_an_exchanged_token_is_bound_to_the_key_of_who_exchanged_it(server: AuthServer) -> None:
    token, broker = await bound_token(server), ec_key("broker's")
    plain = (await server.exchange(token)).json()
    assert plain["token_type"] == "Bearer"
    assert "cnf" not in (await server.verified(plain["access_token"])).claims
    form = dict((await _exchange_form(server, token)).items())
    response = await server.http.post(
        f"{server.issuer}/token", data=form, headers={"dpop": proof(server, broker)}
    )
    assert response.json().get("token_type") == "DPoP", response.text
    derived = response.json()["access_token"]
    assert (await server.verified(derived)).claims["cnf"] == {"jkt": broker.thumbprint()}


async def _exchange_form(server: AuthServer, token: str) -> dict[str, str]:
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "https://api.demo.example",
        **server.assertion(),
    }


async def test_without_a_proof_a_token_is_a_bearer_token(server: AuthServer) -> None:
    document = (await server.introspect(await server.token())).json()
    assert (document["token_type"], "cnf" in document) == ("Bearer", False)


async def test_a_client_can_be_registered_for_bound_tokens_only(server: AuthServer) -> None:
    client_id = await agent(server, dpop_bound_access_tokens=True)
    code = await server.code(client_id)
    assert (await server.redeem(client_id, code)).json()["error"] == "invalid_dpop_proof"
    assert (await redeem(server, client_id, code, proof(server))).status_code == 200


async def test_a_code_can_be_bound_to_a_key_before_it_exists(server: AuthServer) -> None:
    client_id = await agent(server)
    code = await server.code(client_id, dpop_jkt=KEY.thumbprint())
    other = proof(server, ec_key("thief"))
    assert (await redeem(server, client_id, code, other)).json()["error"] == "invalid_grant"
    assert (await server.redeem(client_id, code)).json()["error"] == "invalid_grant"
    assert (await redeem(server, client_id, code, proof(server))).status_code == 200


async def test_a_pushed_request_binds_the_code_by_its_proof(server: AuthServer) -> None:
    client_id, browser = await agent(server), server.browser()
    form = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    url = f"{server.issuer}/par"
    wrong = form | {"dpop_jkt": ec_key("other").thumbprint()}
    refused = await server.http.post(url, data=wrong, headers={"dpop": proof(server, htu=url)})
    assert refused.json()["error"] == "invalid_request"
    pushed = await server.http.post(url, data=form, headers={"dpop": proof(server, htu=url)})
    page = await browser.open(
        f"{server.issuer}/authorize", client_id=client_id, request_uri=pushed.json()["request_uri"]
    )
    page = await browser.submit(await server.log_in(browser, page), decision="allow")
    code = page.callback["code"]
    assert (await server.redeem(client_id, code)).json()["error"] == "invalid_grant"
    assert (await redeem(server, client_id, code, proof(server))).status_code == 200


def keyed_with_public(server: AuthServer) -> str:
    public = KEY.as_dict(private=False)
    header = {"typ": "dpop+jwt", "alg": "HS256", "jwk": public}
    claims = {"htm": "POST", "htu": f"{server.issuer}/token", "iat": server.clock(), "jti": "x"}
    secret = hmac.digest(b"", str(public).encode(), hashlib.sha256)
    return jwt.encode(header, claims, OctKey.import_key(secret), algorithms=["HS256"])


BAD: dict[str, Callable[[AuthServer], str]] = {
    "another method": lambda s: proof(s, htm="GET"),
    "another endpoint": lambda s: proof(s, htu=f"{s.issuer}/introspect"),
    "another host": lambda s: proof(s, htu="http://evil.example/token"),
    "no endpoint": lambda s: proof(s, htu=None),
    "too old": lambda s: proof(s, iat=s.clock() - 61),
    "from the future": lambda s: proof(s, iat=s.clock() + 31),
    "no time": lambda s: proof(s, iat=None),
    "no id": lambda s: proof(s, jti=None),
    "another type": lambda s: proof(s, typ="JWT"),
    "another key than it shows": lambda s: proof(s, jwk=ec_key("x").as_dict(private=False)),
    "a private key": lambda s: proof(s, jwk=KEY.as_dict(private=True)),
    "no key": lambda s: proof(s, jwk={"kty": "EC"}),
    "a shared secret": keyed_with_public,
    "no JWT": lambda _: "nonsense",
    "empty parts": lambda _: "e30.e30.e30",
    "too long": lambda s: proof(s, padding="x" * 9000),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_proof_that_proves_nothing_is_refused_and_the_code_stays(
    server: AuthServer, bad: Callable[[AuthServer], str]
) -> None:
    client_id = await agent(server)
    code = await server.code(client_id)
    response = await redeem(server, client_id, code, bad(server))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_dpop_proof")
    assert (await server.redeem(client_id, code)).status_code == 200


async def test_a_proof_is_good_once(server: AuthServer) -> None:
    one, two, once = await agent(server), await agent(server), proof(server)
    first, second = await server.code(one), await server.code(two)
    assert (await redeem(server, one, first, once)).status_code == 200
    assert (await redeem(server, two, second, once)).json()["error"] == "invalid_dpop_proof"


async def test_an_rsa_key_will_do(server: AuthServer) -> None:
    key = RSAKey.generate_key(2048)
    client_id = await agent(server)
    response = await redeem(server, client_id, await server.code(client_id), proof(server, key, alg="PS256"))
    assert response.json().get("token_type") == "DPoP", response.text


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncGenerator[AuthServer]:
    """A server that asks for nonces."""
    async with serving(tmp_path, dpop_nonces=True) as running:
        yield running


async def test_a_proof_needs_a_nonce_where_the_server_asks_for_one(asking: AuthServer) -> None:
    client_id = await agent(asking)
    code = await asking.code(client_id)
    refused = await redeem(asking, client_id, code, proof(asking))
    assert (refused.status_code, refused.json()["error"]) == (400, "use_dpop_nonce")
    nonce = refused.headers["dpop-nonce"]
    answer = await redeem(asking, client_id, code, proof(asking, nonce=nonce))
    assert answer.json()["token_type"] == "DPoP", answer.text
    assert answer.headers["dpop-nonce"] == nonce
    assert "no-store" in answer.headers["cache-control"]


async def test_a_nonce_ends_and_the_next_one_comes_with_the_answer(asking: AuthServer) -> None:
    async def pushed(nonce: str | None) -> httpx.Response:
        form = authorization_request(client_id)
        dpop = proof(asking, htu=f"{asking.issuer}/par", nonce=nonce)
        return await asking.http.post(f"{asking.issuer}/par", data=form, headers={"dpop": dpop})

    client_id = await agent(asking)
    first = (await pushed(None)).headers["dpop-nonce"]
    asking.clock.seconds += PERIOD_SECONDS
    answer = await pushed(first)
    assert answer.status_code == 201
    second = answer.headers["dpop-nonce"]
    assert second != first
    asking.clock.seconds += PERIOD_SECONDS
    refused = await pushed(first)
    assert refused.json()["error"] == "use_dpop_nonce"
    assert (await pushed(second)).status_code == 201


@pytest.mark.attack("RFC 9449 §11.2", "make a proof in advance, with a nonce that the server never gave")
async def test_a_nonce_that_is_not_the_servers_is_refused(asking: AuthServer) -> None:
    client_id = await agent(asking)
    code = await asking.code(client_id)
    for nonce in ("", "guess", 7, None, ["x"], "ä" * 43):
        refused = await redeem(asking, client_id, code, proof(asking, nonce=nonce))
        assert refused.json()["error"] == "use_dpop_nonce"


async def test_a_nonce_outlives_a_restart(tmp_path: Path) -> None:
    nonces: list[str] = []
    for _ in range(2):
        async with serving(tmp_path, dpop_nonces=True) as server:
            client_id = await agent(server)
            refused = await redeem(server, client_id, "no code", proof(server))
            nonces.append(refused.headers["dpop-nonce"])
    assert nonces[0] == nonces[1]


async def test_without_the_setting_there_are_no_nonces(server: AuthServer) -> None:
    client_id = await agent(server)
    answer = await redeem(server, client_id, await server.code(client_id), proof(server, nonce="anything"))
    assert answer.status_code == 200
    assert "dpop-nonce" not in answer.headers
