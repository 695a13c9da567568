"""The whole story over TLS, under the host names of the tutorial, on a machine that knows none of them."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from demo.agent import connected_agent
from demo.agent_identity import NAME
from demo.browser import Visitor
from demo.inbox import newest_password
from demo.narration import (
    CALL,
    CONNECTED,
    IDENTIFIED,
    LOGIN,
    REFUSED,
    REGISTERED,
    RESOURCE,
    SERVER,
    TOKEN,
    TOOLS,
    step_of,
)
from demo.network import Network
from demo.stack import Stack, StackOptions, running_stack
from demo.story import TOOL, USERS, User, check_authorization, check_identity, check_rows, rows_of
from demo.tls import TlsOptions
from demo.wire import Exchange
from tests.demo.running import demo

JOHN, JANE = USERS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    options = StackOptions(
        log_level="debug", logs=tmp_path_factory.mktemp("tls"), tls=TlsOptions(host_names=True)
    )
    async with running_stack(options) as own:
        yield own


@pytest.fixture
def network(stack: Stack) -> Network:
    return Network(stack.addresses.ca)


def visitor(stack: Stack, user: User, network: Network) -> Visitor:
    return Visitor(user.email, partial(newest_password, stack.addresses.inbox, network=network))


async def counters(stack: Stack, network: Network) -> dict[str, int]:
    async with network.client(timeout_seconds=10) as client:
        return (await client.get(stack.addresses.issuer + "/debug/counters")).json()


@pytest.mark.requirement("as-client-metadata")
async def test_an_agent_is_known_by_its_metadata_document_without_registration(
    stack: Stack, network: Network
) -> None:
    exchanges: list[Exchange] = []
    user, document = visitor(stack, JOHN, network), stack.addresses.agent_metadata
    before = await counters(stack, network)
    async with connected_agent(
        stack.addresses.mcp,
        user,
        name="A name that only registration would tell",
        metadata_url=document,
        on_exchange=exchanges.append,
        network=network,
    ) as agent:
        check_identity(agent, exchanges, document)
        check_authorization(agent, stack.addresses)
        await agent.client.list_tools()
        check_rows(JOHN, rows_of(await agent.client.call_tool(TOOL)))
    steps = list(dict.fromkeys(step_of(exchange) for exchange in exchanges))
    assert steps == [REFUSED, RESOURCE, SERVER, IDENTIFIED, LOGIN, TOKEN, CONNECTED, TOOLS, CALL]
    assert (await counters(stack, network))["registration"] == before["registration"]
    assert user.consent_text is not None
    assert NAME in user.consent_text
    assert all(exchange.url.startswith("https://") for exchange in exchanges)


async def test_an_agent_without_a_document_registers_over_tls(stack: Stack, network: Network) -> None:
    exchanges: list[Exchange] = []
    async with connected_agent(
        stack.addresses.mcp,
        visitor(stack, JANE, network),
        on_exchange=exchanges.append,
        network=network,
    ) as agent:
        check_rows(JANE, rows_of(await agent.client.call_tool(TOOL)))
    assert REGISTERED in [step_of(exchange) for exchange in exchanges]
    assert httpx2.URL(stack.addresses.mcp).host == "mcp.demo.example"
    assert httpx2.URL(stack.addresses.issuer).host == "login.demo.example"


async def test_cookies_are_for_tls_and_this_host_only(stack: Stack, network: Network) -> None:
    async with network.client(timeout_seconds=10) as client:
        answer = await client.get(stack.addresses.issuer + "/agents")
    assert answer.headers["set-cookie"].startswith("__Host-authserver=")
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("part", ["gateway", "broker", "stocks", "authserver", "agent"])
async def test_no_part_is_trusted_without_the_authority_and_none_speaks_plain_http(
    stack: Stack, part: str
) -> None:
    url = stack.addresses.here(part) + "/livez"
    async with Network().client(timeout_seconds=10) as stranger:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(url)
        with pytest.raises(httpx2.RemoteProtocolError):
            await stranger.get(url.replace("https://", "http://"))


async def test_a_second_demo_runs_beside_it_with_certificates_that_are_kept(
    stack: Stack, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    async with demo(tmp_path / "demo", "--once", "--ca", str(kept)) as run:
        assert await run.ends(within_seconds=120) == 0, run.output.read_text()
        shown = run.output.read_text()
        assert f"4. {IDENTIFIED.title}" in shown
        assert f"4. {REGISTERED.title}" in shown
        assert "COM1 450.22, COM4 180.75" in shown
        assert "COM2 250.62, COM3 21.07" in shown
        assert run.state["ca"] == str(kept / "ca.pem")
        assert run.state["mcp"].startswith("https://127.0.0.1:")
        assert run.leaves_nothing()
