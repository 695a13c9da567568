"""The whole story over TLS, under the host names of the tutorial, on a machine that knows none of them."""

import signal
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
from demo.parts import HOST_NAMES, Addresses
from demo.story import TOOL, USERS, User, check_authorization, check_identity, check_rows, rows_of
from demo.wire import Exchange
from tests.demo.running import Demo, demo
from tests.support.eventually import eventually

JOHN, JANE = USERS
ENDING = "Ctrl-C ends everything."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Demo]:
    """A demo that has told its story and stays up: the one system of all these tests."""
    directory = tmp_path_factory.mktemp("tls")
    async with demo(directory, "--hosts", "--ca", str(directory / "kept")) as running:
        await running.is_up()
        await eventually(lambda: ENDING in running.output.read_text(), within_seconds=60)
        yield running
        running.process.send_signal(signal.SIGINT)
        assert await running.ends(within_seconds=10) == 0, running.output.read_text()
        assert running.leaves_nothing()


@pytest.fixture
def addresses(run: Demo) -> Addresses:
    ports = {name: httpx2.URL(part["url"]).port or 0 for name, part in run.state["processes"].items()}
    return Addresses.on(ports, redis=run.state["redis"], ca=Path(run.state["ca"]), names=HOST_NAMES)


@pytest.fixture
def network(addresses: Addresses) -> Network:
    return Network(addresses.ca)


def visitor(addresses: Addresses, user: User, network: Network) -> Visitor:
    return Visitor(user.email, partial(newest_password, addresses.inbox, network=network))


async def counters(addresses: Addresses, network: Network) -> dict[str, int]:
    async with network.client(timeout_seconds=10) as client:
        return (await client.get(addresses.issuer + "/debug/counters")).json()


@pytest.mark.requirement("as-client-metadata")
async def test_an_agent_is_known_by_its_metadata_document_without_registration(
    addresses: Addresses, network: Network
) -> None:
    exchanges: list[Exchange] = []
    # The story had the first user agree to this document, and the second one to a registered agent.
    user, document = visitor(addresses, JANE, network), addresses.agent_metadata
    before = await counters(addresses, network)
    async with connected_agent(
        addresses.mcp,
        user,
        name="A name that only registration would tell",
        metadata_url=document,
        on_exchange=exchanges.append,
        network=network,
    ) as agent:
        check_identity(agent, exchanges, document)
        check_authorization(agent, addresses)
        await agent.client.list_tools()
        check_rows(JANE, rows_of(await agent.client.call_tool(TOOL)))
    steps = list(dict.fromkeys(step_of(exchange) for exchange in exchanges))
    assert steps == [REFUSED, RESOURCE, SERVER, IDENTIFIED, LOGIN, TOKEN, CONNECTED, TOOLS, CALL]
    assert (await counters(addresses, network))["registration"] == before["registration"]
    assert user.consent_text is not None
    assert NAME in user.consent_text
    assert all(exchange.url.startswith("https://") for exchange in exchanges)


async def test_an_agent_without_a_document_registers_over_tls(addresses: Addresses, network: Network) -> None:
    exchanges: list[Exchange] = []
    async with connected_agent(
        addresses.mcp,
        visitor(addresses, JOHN, network),
        on_exchange=exchanges.append,
        network=network,
    ) as agent:
        check_rows(JOHN, rows_of(await agent.client.call_tool(TOOL)))
    assert REGISTERED in [step_of(exchange) for exchange in exchanges]
    assert httpx2.URL(addresses.mcp).host == "mcp.demo.example"
    assert httpx2.URL(addresses.issuer).host == "login.demo.example"


async def test_cookies_are_for_tls_and_this_host_only(addresses: Addresses, network: Network) -> None:
    async with network.client(timeout_seconds=10) as client:
        answer = await client.get(addresses.issuer + "/agents")
    assert answer.headers["set-cookie"].startswith("__Host-authserver=")
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("part", ["gateway", "broker", "stocks", "authserver", "agent"])
async def test_no_part_is_trusted_without_the_authority_and_none_speaks_plain_http(
    addresses: Addresses, part: str
) -> None:
    url = addresses.here(part) + "/livez"
    async with Network().client(timeout_seconds=10) as stranger:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(url)
        with pytest.raises(httpx2.RemoteProtocolError):
            await stranger.get(url.replace("https://", "http://"))


def test_the_demo_tells_both_ways_to_be_known_and_keeps_its_certificates(
    run: Demo, addresses: Addresses
) -> None:
    shown = run.output.read_text()
    assert f"4. {IDENTIFIED.title}" in shown
    assert f"4. {REGISTERED.title}" in shown
    assert "COM1 450.22, COM4 180.75" in shown
    assert "COM2 250.62, COM3 21.07" in shown
    assert addresses.ca == run.state_file.parent / "kept" / "ca.pem"
    assert (addresses.mcp, addresses.issuer) == (run.state["mcp"], run.state["issuer"])
