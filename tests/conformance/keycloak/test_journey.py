"""An agent through the whole system with Keycloak 26 as the authorization server."""

import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from demo.browser import AuthorizationResponse, Browser, Page
from demo.parts import API_AUDIENCE
from demo.stack import Stack
from tests.conformance.external import (
    REDIRECT_URI,
    Endpoints,
    Plan,
    access_token,
    profile_check,
    stack_behind,
)
from tests.conformance.keycloak.realm import AGENT, PASSWORD, realm
from tests.conformance.keycloak.server import Keycloak, running
from tests.journeys.conftest import http_client
from tests.support.system import JANE, JOHN, REGION, System, payload, symbols

HOME = os.environ.get("KEYCLOAK_HOME", "")

pytestmark = pytest.mark.skipif(
    not HOME, reason="no Keycloak: `make keycloak` fetches it (needs Java 17, Maven and the network)"
)


@dataclass(frozen=True, slots=True)
class World:
    """Keycloak, and the system that trusts it."""

    keycloak: Keycloak
    endpoints: Endpoints
    stack: Stack
    mcp: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    directory = tmp_path_factory.mktemp("keycloak")
    plan = Plan.draw(directory)
    async with running(Path(HOME), directory / "keycloak.log") as keycloak, http_client() as http:
        configured = realm(
            mcp=plan.mcp, api=API_AUDIENCE, redirect_uri=REDIRECT_URI, broker_jwk=plan.broker_jwk
        )
        await keycloak.create(http, configured)
        endpoints = Endpoints(
            profile="keycloak",
            issuer=keycloak.issuer,
            jwks=f"{keycloak.endpoints}/certs",
            authorization=f"{keycloak.endpoints}/auth",
            token=f"{keycloak.endpoints}/token",
            introspection=f"{keycloak.endpoints}/token/introspect",
        )
        async with stack_behind(endpoints, plan) as stack:
            yield World(keycloak, endpoints, stack, plan.mcp)


@pytest.fixture
async def http() -> AsyncGenerator[httpx2.AsyncClient]:
    async with http_client() as client:
        yield client


@pytest.fixture
def system(world: World, http: httpx2.AsyncClient) -> System:
    return System(world.stack, http)


async def log_in(email: str, browser: Browser, page: Page) -> Page | AuthorizationResponse:
    form = page.form_with(names=frozenset({"username"}))
    assert form is not None, page.text
    return await browser.submit(page, form, {"username": email, "password": PASSWORD})


async def token_of(world: World, http: httpx2.AsyncClient, email: str) -> str:
    return await access_token(world.endpoints, http, partial(log_in, email), client_id=AGENT)


@pytest.mark.parametrize("email", [JOHN, JANE])
async def test_an_agent_gets_the_stocks_of_its_users_region(
    world: World, system: System, http: httpx2.AsyncClient, email: str
) -> None:
    token = await token_of(world, http, email)
    assert symbols(await system.call(token)) == REGION[email]


async def test_the_api_gets_another_token_than_the_agent_has(
    world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await token_of(world, http, JOHN)
    exchanged = await system.exchanged(token)
    agents, apis = payload(token), payload(exchanged)
    assert API_AUDIENCE not in agents["aud"]
    assert apis["aud"] == API_AUDIENCE
    assert (apis["sub"], apis["sid"], apis["scope"]) == (agents["sub"], agents["sid"], "stocks/read")
    assert apis["azp"] == "token-broker"
    assert (await system.stocks(token)).status_code == 401
    assert (await system.stocks(exchanged)).status_code == 200


async def test_a_user_who_is_logged_out_has_no_delegation_left(
    world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await token_of(world, http, JANE)
    await world.keycloak.end_sessions(http, JANE)
    assert (await system.call(token)).status_code == 401


async def test_a_token_without_the_scope_is_challenged(
    world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await access_token(world.endpoints, http, partial(log_in, JOHN), client_id=AGENT, scope="openid")
    assert (await system.call(token)).status_code == 403


async def test_the_profile_fits_the_live_server(world: World) -> None:
    code, lines = await profile_check(world.stack)
    assert [line.split(":")[0] for line in lines] == [
        "fits      metadata",
        "fits      keys",
        "fits      introspection",
        "fits      exchange",
    ], lines
    assert code == 0
