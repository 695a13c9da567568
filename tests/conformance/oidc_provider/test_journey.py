"""An agent through the whole system with oidc-provider (npm) as the authorization server."""

import json
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from demo.browser import AuthorizationResponse, Browser, Page
from demo.keys import signing_key
from demo.parts import API_AUDIENCE, BROKER_CLIENT
from tests.conformance.external import (
    REDIRECT_URI,
    SCOPE,
    Endpoints,
    Plan,
    World,
    access_token,
    assert_profile_fits,
    world_of,
)
from tests.conformance.node import missing_packages, node
from tests.support.redis_server import free_port
from tests.support.system import JANE, JOHN, REGION, System, payload, symbols

HERE = Path(__file__).parent
AGENT = "agent"
REGIONS = {JOHN: "USA", JANE: "Europe"}
STOP_SECONDS = 5.0


@contextmanager
def oidc_provider(plan: Plan) -> Generator[str]:
    """Start the server; it listens when its issuer is handed out."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    configuration = {
        "issuer": issuer,
        "port": port,
        "mcp": plan.mcp,
        "api": API_AUDIENCE,
        "scope": SCOPE,
        "redirectUri": REDIRECT_URI,
        "agent": AGENT,
        "broker": BROKER_CLIENT,
        "brokerJwk": plan.broker_jwk,
        "signingJwk": signing_key("op-1"),
        "regions": REGIONS,
    }
    log = plan.directory / "oidc-provider.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(node()), "server.js", json.dumps(configuration)],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n", log.read_text()[-2000:]
            yield issuer
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    missing = missing_packages(HERE)
    if missing is not None:
        pytest.skip(missing)
    plan = Plan.draw(tmp_path_factory.mktemp("oidc-provider"))
    with oidc_provider(plan) as issuer:
        endpoints = Endpoints(
            profile="oidc-provider",
            issuer=issuer,
            jwks=f"{issuer}/jwks",
            authorization=f"{issuer}/auth",
            token=f"{issuer}/token",
            introspection=f"{issuer}/token/introspection",
        )
        async with world_of(endpoints, plan) as it:
            yield it


async def answer(email: str, browser: Browser, page: Page) -> Page | AuthorizationResponse:
    """Log in, then consent."""
    assert page.status == 200, page.text
    login = page.form_with(names=frozenset({"login"}))
    if login is not None:
        return await browser.submit(page, login, {"login": email, "password": "any will do"})
    return await browser.submit(page, page.forms[0], {})


async def token_of(world: World, http: httpx2.AsyncClient, email: str) -> str:
    mcp = world.stack.addresses.mcp
    return await access_token(world.endpoints, http, partial(answer, email), client_id=AGENT, resource=mcp)


@pytest.mark.parametrize("email", [JOHN, JANE])
async def test_an_agent_gets_the_stocks_of_its_users_region(
    world: World, system: System, http: httpx2.AsyncClient, email: str
) -> None:
    token = await token_of(world, http, email)
    assert symbols(await system.call(token)) == REGION[email]
    assert symbols(await system.call(token)) == REGION[email]


async def test_an_opaque_token_becomes_a_jwt_for_the_gateway_and_another_for_the_api(
    world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await token_of(world, http, JOHN)
    assert "." not in token
    phantom, exchanged = payload(await system.phantom(token)), payload(await system.exchanged(token))
    assert (phantom["aud"], exchanged["aud"]) == (world.stack.addresses.mcp, API_AUDIENCE)
    assert phantom["grant_id"] == exchanged["grant_id"]
    assert exchanged["exp"] <= phantom["exp"]
    assert (await system.stocks(token)).status_code == 401


async def test_an_unknown_token_is_refused(system: System) -> None:
    assert (await system.call("unknown")).status_code == 401


async def test_a_revoked_token_is_refused_before_it_was_ever_used(
    world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await token_of(world, http, JOHN)
    form = {"token": token, "client_id": AGENT}
    revoked = await http.post(f"{world.endpoints.issuer}/token/revocation", data=form)
    assert revoked.status_code == 200
    assert (await system.call(token)).status_code == 401


async def test_the_profile_fits_the_live_server(world: World) -> None:
    await assert_profile_fits(world.stack)
