"""RFC 9126, and what `prompt` asks for."""

from pathlib import Path

import httpx
import pytest

from tests.authserver.server import CALLBACK, MCP, VERIFIER, AuthServer, challenge_of, public_jwks, serving
from tests.support.issuer import ec_key

REQUEST: dict[str, str | None] = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
    "scope": "stocks/read",
    "state": "s1",
    "resource": MCP,
}


async def push(server: AuthServer, **changes: str | None) -> httpx.Response:
    return await server.post("par", REQUEST | changes)


async def pushed(server: AuthServer, client_id: str) -> str:
    response = await push(server, client_id=client_id)
    assert response.status_code == 201, response.text
    return response.json()["request_uri"]


async def agent(server: AuthServer) -> str:
    return str((await server.register())["client_id"])


async def test_a_pushed_request_leads_to_a_code(server: AuthServer) -> None:
    client_id, browser = await agent(server), server.browser()
    response = await push(server, client_id=client_id)
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    assert 60 <= response.json()["expires_in"] <= 90
    url = f"{server.issuer}/authorize"
    page = await browser.open(url, client_id=client_id, request_uri=response.json()["request_uri"])
    page = await browser.submit(await server.log_in(browser, page), decision="allow")
    assert (page.callback["state"], page.callback["iss"]) == ("s1", server.issuer)
    assert (await server.redeem(client_id, page.callback["code"])).status_code == 200


async def test_parameters_beside_the_request_uri_count_for_nothing(server: AuthServer) -> None:
    client_id, browser = await agent(server), server.browser()
    page = await browser.open(
        f"{server.issuer}/authorize",
        client_id=client_id,
        request_uri=await pushed(server, client_id),
        redirect_uri="https://evil.example/cb",
        state="other",
        scope="unknown",
    )
    page = await browser.submit(await server.log_in(browser, page), decision="allow")
    assert page.response.headers["location"].startswith(CALLBACK)
    assert page.callback["state"] == "s1"


async def test_a_request_uri_is_good_once_for_its_client_and_for_a_short_time(server: AuthServer) -> None:
    client_id, other, browser = await agent(server), await agent(server), server.browser()
    url = f"{server.issuer}/authorize"
    request_uri = await pushed(server, client_id)
    assert (await browser.open(url, client_id=other, request_uri=request_uri)).response.status_code == 400
    assert (await browser.open(url, client_id=client_id, request_uri=request_uri)).response.status_code == 200
    assert (await browser.open(url, client_id=client_id, request_uri=request_uri)).response.status_code == 400
    request_uri = await pushed(server, client_id)
    server.clock.seconds += 90
    assert (await browser.open(url, client_id=client_id, request_uri=request_uri)).response.status_code == 400


async def test_a_client_with_a_key_proves_itself_when_it_pushes(server: AuthServer) -> None:
    key, url = ec_key("agent"), f"{server.issuer}/par"
    client = await server.register(token_endpoint_auth_method="private_key_jwt", jwks=public_jwks(key))
    client_id = client["client_id"]
    assert (await push(server, client_id=client_id)).json()["error"] == "invalid_client"
    proof = server.assertion(url, client_id=client_id, key=key)
    del proof["client_id"]
    response = await push(server, **proof)
    assert response.status_code == 201
    page = await server.browser().open(
        f"{server.issuer}/authorize", client_id=client_id, request_uri=response.json()["request_uri"]
    )
    assert page.response.status_code == 200
    assert all(proof["client_assertion"].encode() not in f.read_bytes() for f in server.state_files())


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("invalid_request", {"redirect_uri": "https://evil.example/cb"}),
        ("invalid_request", {"code_challenge": None}),
        ("invalid_request", {"code_challenge_method": "plain"}),
        ("invalid_request", {"prompt": "none login"}),
        ("invalid_scope", {"scope": "admin"}),
        ("invalid_target", {"resource": "https://evil.example"}),
        ("unsupported_response_type", {"response_type": "token"}),
        ("request_not_supported", {"request_uri": "urn:ietf:params:oauth:request_uri:x"}),
        ("request_not_supported", {"request": "eyJ"}),
        ("invalid_client", {"client_id": "unknown"}),
    ],
)
async def test_what_authorization_would_refuse_is_refused_at_once(
    server: AuthServer, error: str, changes: dict[str, str | None]
) -> None:
    response = await push(server, **({"client_id": await agent(server)} | changes))
    assert response.status_code == (401 if error == "invalid_client" else 400)
    assert response.json()["error"] == error


async def test_a_server_can_insist_on_pushed_requests(tmp_path: Path) -> None:
    async with serving(tmp_path, require_pushed_authorization_requests=True) as server:
        metadata = (await server.http.get(f"{server.issuer}/.well-known/openid-configuration")).json()
        assert metadata["require_pushed_authorization_requests"] is True
        client_id, browser = await agent(server), server.browser()
        page = await server.authorize(browser, client_id)
        assert page.callback["error"] == "invalid_request"
        request_uri = await pushed(server, client_id)
        page = await browser.open(f"{server.issuer}/authorize", client_id=client_id, request_uri=request_uri)
        assert page.response.status_code == 200


async def test_a_client_can_insist_on_pushed_requests(server: AuthServer) -> None:
    client = await server.register(require_pushed_authorization_requests=True)
    assert client["require_pushed_authorization_requests"] is True
    page = await server.authorize(server.browser(), client["client_id"])
    assert page.callback["error"] == "invalid_request"


async def test_prompt_none_never_shows_a_page(server: AuthServer) -> None:
    client_id, browser = await agent(server), server.browser()
    answer = (await server.authorize(browser, client_id, prompt="none")).callback
    assert (answer["error"], answer["state"], answer["iss"]) == ("login_required", "s1", server.issuer)
    await server.log_in(browser, await server.authorize(browser, client_id))
    assert (await server.authorize(browser, client_id, prompt="none")).callback["error"] == "consent_required"
    await browser.submit(await server.authorize(browser, client_id), decision="allow")
    answer = (await server.authorize(browser, client_id, prompt="none")).callback
    assert (await server.redeem(client_id, answer["code"])).status_code == 200


async def test_prompt_none_with_another_is_refused(server: AuthServer) -> None:
    page = await server.authorize(server.browser(), await agent(server), prompt="none consent")
    assert page.callback["error"] == "invalid_request"
