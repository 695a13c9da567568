"""An agent through the whole system with Keycloak 26 as the authorization server."""

import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from demo.browser import AuthorizationResponse, Browser, Page
from demo.parts import API_AUDIENCE
from tests.conformance.external import (
    REDIRECT_URI,
    Endpoints,
    Plan,
    World,
    access_token,
    assert_profile_fits,
    world_of,
)
from tests.conformance.keycloak.realm import AGENT, PASSWORD, realm
from tests.conformance.keycloak.server import Keycloak, running
from tests.journeys.conftest import http_client
from tests.support.system import JANE, JOHN, REGION, System, payload, symbols

HOME = os.environ.get("KEYCLOAK_HOME", "")

pytestmark = pytest.mark.skipif(
    not HOME, reason="no Keycloak: `make keycloak` fetches it (needs Java 17, Maven and the network)"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keycloak(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Keycloak]:
    log = tmp_path_factory.mktemp("keycloak") / "keycloak.log"
    async with running(Path(HOME), log) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    plan = Plan.draw(tmp_path_factory.mktemp("system"))
    configured = realm(mcp=plan.mcp, api=API_AUDIENCE, redirect_uri=REDIRECT_URI, broker_jwk=plan.broker_jwk)
    async with http_client() as http:
        await keycloak.create(http, configured)
    endpoints = Endpoints(
        profile="keycloak",
        issuer=keycloak.issuer,
        jwks=f"{keycloak.endpoints}/certs",
        authorization=f"{keycloak.endpoints}/auth",
        token=f"{keycloak.endpoints}/token",
        introspection=f"{keycloak.endpoints}/token/introspect",
    )
    async with world_of(endpoints, plan) as it:
        yield it


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
    keycloak: Keycloak, world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await token_of(world, http, JANE)
    await keycloak.end_sessions(http, JANE)
    assert (await system.call(token)).status_code == 401


async def test_a_token_without_the_scope_is_challenged(
    world: World, system: System, http: httpx2.AsyncClient
) -> None:
    token = await access_token(world.endpoints, http, partial(log_in, JOHN), client_id=AGENT, scope="openid")
    assert (await system.call(token)).status_code == 403


async def test_the_profile_fits_the_live_server(world: World) -> None:
    await assert_profile_fits(world.stack)
