import asyncio
from pathlib import Path

import httpx
import pytest

from authcore.oauth2_types import GRANT_AUTHORIZATION_CODE
from authserver.policy import Policy, ScopePolicy
from tests.authserver.server import CALLBACK, JANE, MCP, VERIFIER, AuthServer, serving


def assert_refused(response: httpx.Response, error: str = "invalid_grant") -> None:
    assert response.status_code == 400, response.text
    assert response.json()["error"] == error
    assert response.headers["cache-control"] == "no-store"
    assert "access_token" not in response.text


@pytest.mark.requirement("as-short-tokens")
async def test_a_token_is_opaque_and_lives_as_long_as_policy_says(server: AuthServer) -> None:
    token = await server.token()
    assert len(token) == 43
    assert "." not in token
    server.clock.seconds += 899
    assert (await server.introspect(token)).json()["active"] is True
    server.clock.seconds += 1
    assert (await server.introspect(token)).json() == {"active": False}


async def test_the_lifetime_can_be_set_for_a_server(tmp_path: Path) -> None:
    async with serving(tmp_path, access_token_lifetime_seconds=5) as server:
        token = await server.token()
        server.clock.seconds += 5
        assert (await server.introspect(token)).json() == {"active": False}


@pytest.mark.attack("RFC 6749 §4.1.2", "replay a code")
async def test_a_replayed_code_is_refused_and_revokes_what_it_issued(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    token = (await server.redeem(client_id, code)).json()["access_token"]
    derived = (await server.exchange(token)).json()["access_token"]
    assert_refused(await server.redeem(client_id, code))
    assert (await server.introspect(token)).json() == {"active": False}
    assert (await server.introspect(derived)).json() == {"active": False}
    assert_refused(await server.exchange(token))


@pytest.mark.attack("RFC 6749 §10.5", "replay a code when nobody watches any more")
async def test_a_code_still_revokes_when_it_is_replayed_after_its_own_expiry(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    token = (await server.redeem(client_id, code)).json()["access_token"]
    server.clock.seconds += 600
    assert_refused(await server.redeem(client_id, code))
    assert (await server.introspect(token)).json() == {"active": False}


@pytest.mark.attack("RFC 6819 §5.1.5.4", "race the client with its own code")
async def test_of_simultaneous_redemptions_at_most_one_succeeds_and_nothing_stays_usable(
    server: AuthServer,
) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    responses = await asyncio.gather(*(server.redeem(client_id, code) for _ in range(8)))
    issued = [response.json()["access_token"] for response in responses if response.status_code == 200]
    assert len(issued) == 1
    assert (await server.introspect(issued[0])).json() == {"active": False}


@pytest.mark.attack("RFC 6819 §5.1.5.3", "use a code found in a log later")
async def test_a_code_lives_for_a_minute(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    server.clock.seconds += 60
    assert_refused(await server.redeem(client_id, code))


@pytest.mark.attack("RFC 7636 §4.6", "redeem an intercepted code with a guessed verifier")
@pytest.mark.requirement("as-pkce")
async def test_a_wrong_verifier_is_refused(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    for verifier in ("b" * 43, VERIFIER + "x", VERIFIER[:-1] + " ", "short", "x" * 129, "ä" * 43):
        assert_refused(await server.redeem(client_id, code, code_verifier=verifier))
    assert (await server.redeem(client_id, code)).status_code == 200


@pytest.mark.attack("RFC 9700 §4.8.2", "redeem a code without its verifier (PKCE downgrade)")
@pytest.mark.requirement("as-pkce")
async def test_a_missing_verifier_is_refused(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    assert_refused(await server.redeem(client_id, code, code_verifier=None), "invalid_request")


@pytest.mark.attack("RFC 9700 §4.5", "inject a code that was issued to another client")
async def test_another_clients_code_is_refused(server: AuthServer) -> None:
    victim, thief = await server.register(), await server.register()
    code = await server.code(victim["client_id"])
    assert_refused(await server.redeem(thief["client_id"], code))


@pytest.mark.attack("RFC 6749 §4.1.3", "redeem a code that was sent elsewhere")
async def test_a_redirect_uri_that_was_not_authorized_is_refused(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    assert_refused(await server.redeem(client_id, code, redirect_uri="http://127.0.0.1:3001/callback"))
    assert (await server.redeem(client_id, code, redirect_uri=None)).status_code == 200


@pytest.mark.attack("RFC 8707 §2.2", "swap the resource when redeeming")
@pytest.mark.requirement("as-resource")
async def test_the_resource_cannot_be_swapped_at_the_token_endpoint(server: AuthServer) -> None:
    client_id = (await server.register())["client_id"]
    code = await server.code(client_id)
    for resource in ("https://api.demo.example", "https://elsewhere.example", "x"):
        assert_refused(await server.redeem(client_id, code, resource=resource), "invalid_target")
    assert (await server.redeem(client_id, code, resource=f"{MCP}/")).status_code == 200


@pytest.mark.attack("RFC 8707 §3", "swap one allowed resource for another the user was not asked about")
async def test_the_resource_cannot_be_swapped_among_those_of_one_client(tmp_path: Path) -> None:
    console = {
        "client_id": "console",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [CALLBACK],
        "grant_types": [GRANT_AUTHORIZATION_CODE],
        "audiences": [MCP, "https://api.demo.example"],
    }
    async with serving(tmp_path, clients=[console]) as server:
        code = await server.code("console", resource=MCP)
        refused = await server.redeem("console", code, resource="https://api.demo.example")
        assert_refused(refused, "invalid_target")


@pytest.mark.attack("RFC 6749 §3.3", "upgrade the scope when redeeming")
async def test_the_scope_cannot_be_widened_at_the_token_endpoint(tmp_path: Path) -> None:
    policy = Policy(
        scopes={
            "stocks/read": ScopePolicy(description="Read", purpose="read"),
            "stocks/trade": ScopePolicy(description="Trade", purpose="trade", access_token_seconds=60),
        },
        default_scope=frozenset({"stocks/read"}),
    )
    async with serving(tmp_path, policy=policy) as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id)
        assert_refused(
            await server.redeem(client_id, code, scope="stocks/read stocks/trade"), "invalid_scope"
        )
        response = await server.redeem(client_id, code, scope="stocks/read")
        assert response.json()["scope"] == "stocks/read"
        both = await server.redeem(client_id, await server.code(client_id, scope="stocks/trade stocks/read"))
        assert both.json()["scope"] == "stocks/read stocks/trade"
        assert both.json()["expires_in"] == 60


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        ("unsupported_grant_type", {"grant_type": "password"}),
        ("unsupported_grant_type", {"grant_type": "refresh_token"}),
        ("invalid_request", {"grant_type": None}),
        ("invalid_request", {"code": None}),
        ("invalid_grant", {"code": "unknown"}),
        ("unauthorized_client", {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}),
    ],
)
async def test_token_requests_are_refused_by_their_rfc_name(
    server: AuthServer, error: str, changes: dict[str, str | None]
) -> None:
    client_id = (await server.register())["client_id"]
    assert_refused(await server.redeem(client_id, "code", **changes), error)


@pytest.mark.attack("RFC 6749 §3.2", "have token requests end up in logs as URLs")
async def test_parameters_in_the_query_count_for_nothing(server: AuthServer) -> None:
    response = await server.http.post(f"{server.issuer}/token?grant_type=authorization_code&client_id=x")
    assert response.json()["error"] == "invalid_request"


@pytest.mark.attack("RFC 7662 §2.2", "go on with the token of a removed user")
async def test_a_user_who_is_no_longer_approved_has_no_token_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        token = await server.token(JANE)
        broker_key = server.broker_key
    users = [{"email": "john.doe@demo.example", "region": "USA"}]
    async with serving(tmp_path, broker_key=broker_key, users=users) as server:
        assert (await server.introspect(token)).json() == {"active": False}
