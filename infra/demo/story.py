"""The story: two users, one agent each, and what comes back; everything is checked as it happens."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx2
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent

from demo.agent import Agent, NotAuthorizedError, connected_agent
from demo.browser import BrowserError, Visitor
from demo.inbox import newest_password
from demo.narration import Narrator
from demo.network import Network
from demo.parts import Addresses
from demo.terminal import BOLD, GREEN, Terminal
from demo.wire import Exchange

TOOL: Final = "fetch-stock-prices"
TOKEN_SECONDS: Final = 900
TIMEOUT_SECONDS: Final = 5.0


class StoryError(Exception):
    """Something was not as it must be."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the demo, and the stocks of their region."""

    email: str
    region: str
    stocks: frozenset[str]


USERS: Final = (
    User("john.doe@demo.example", "USA", frozenset({"COM1", "COM4"})),
    User("jane.test@demo.example", "Europe", frozenset({"COM2", "COM3"})),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one user's agent got."""

    user: User
    rows: list[dict[str, Any]]


async def tell(
    user: User, addresses: Addresses, terminal: Terminal, *, metadata_url: str | None = None
) -> Outcome:
    """Let an agent go the whole way for one user, and check every stage.

    Args:
        user: at the browser.
        addresses: where everything is.
        terminal: who listens.
        metadata_url: the document by which the agent is known; without one it registers.

    Raises:
        StoryError: something was not as it must be.
    """
    terminal.say()
    terminal.say(f"{user.email} ({user.region})", style=BOLD)
    narrator = Narrator(terminal)
    network = Network(addresses.ca)
    visitor = Visitor(user.email, partial(newest_password, addresses.inbox, network=network))
    try:
        async with connected_agent(
            addresses.mcp, visitor, metadata_url=metadata_url, on_exchange=narrator, network=network
        ) as agent:
            check_refusal(narrator.exchanges)
            check_identity(agent, narrator.exchanges, metadata_url)
            check_authorization(agent, addresses)
            tools = [tool.name for tool in (await agent.client.list_tools()).tools]
            narrator.note(f"tools: {', '.join(tools)}")
            expect(TOOL in tools, f"the tool {TOOL} is not listed")
            rows = rows_of(await agent.client.call_tool(TOOL))
    except (NotAuthorizedError, BrowserError, MCPError, httpx2.HTTPError) as error:
        raise StoryError(f"{type(error).__name__}: {error}") from error
    for row in rows:
        narrator.note("  ".join(f"{name}: {value}" for name, value in row.items()))
    check_rows(user, rows)
    terminal.say(f"  ✓ exactly the stocks of {user.region}, and no others", style=GREEN)
    return Outcome(user, rows)


async def exchanges_seen(addresses: Addresses) -> int:
    """Return how many token exchanges the authorization server was asked for since it started.

    Raises:
        StoryError: it does not say.
    """
    async with Network(addresses.ca).client(timeout_seconds=TIMEOUT_SECONDS) as client:
        response = await client.get(f"{addresses.issuer}/debug/counters")
    try:
        return int(response.json()["token_exchange"])
    except (ValueError, KeyError, TypeError):
        raise StoryError(f"the counters answered HTTP {response.status_code}") from None


def expect(holds: bool, otherwise: str) -> None:
    """Return if it holds.

    Raises:
        StoryError: it does not.
    """
    if not holds:
        raise StoryError(otherwise)


def check_refusal(exchanges: list[Exchange]) -> None:
    """The first request had no token and got a challenge that leads on (RFC 6750 §3, RFC 9728 §5.1)."""
    first = exchanges[0]
    expect("authorization" not in first.request_headers, "the agent had a token before it asked for one")
    expect(first.status == 401, f"a request without a token was answered {first.status} instead of 401")
    challenge = first.response_headers.get("www-authenticate", "")
    for parameter in ("resource_metadata=", "scope="):
        expect(parameter in challenge, f"the challenge has no {parameter[:-1]}")
    expect("error=" not in challenge, "the challenge names an error though no token was sent")


def check_identity(agent: Agent, exchanges: list[Exchange], metadata_url: str | None) -> None:
    """The agent registered, or else is known by its metadata document and did not."""
    registration = agent.wallet.registration
    registered = any("redirect_uris" in exchange.request_json for exchange in exchanges)
    if metadata_url is None:
        expect(registered, "the agent did not register")
    else:
        expect(not registered, "the agent registered although it has a metadata document")
        known_as = None if registration is None else registration.client_id
        expect(known_as == metadata_url, f"the agent is known as {known_as}")


def check_authorization(agent: Agent, addresses: Addresses) -> None:
    """The token is opaque, short-lived, limited, and came from the issuer that was asked."""
    tokens, responses = agent.wallet.tokens, agent.responses
    if tokens is None or not responses:
        raise StoryError("the agent was let in without authorization")
    expect(responses[-1].iss == addresses.issuer, f"the redirect names issuer {responses[-1].iss}")
    expect(tokens.access_token.count(".") != 2, "the access token is readable for the agent")
    expect(tokens.refresh_token is None, "the agent got a refresh token")
    expect(tokens.scope == "stocks/read", f"the token's scope is {tokens.scope}")
    expires_in = tokens.expires_in or 0
    expect(0 < expires_in <= TOKEN_SECONDS, f"the token lives {expires_in} s")


def rows_of(result: CallToolResult) -> list[dict[str, Any]]:
    """Return the rows in a tool's text.

    Raises:
        StoryError: the tool failed, or said something else.
    """
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        raise StoryError(f"the tool failed: {text}")
    try:
        rows = json.loads(text)
    except ValueError:
        raise StoryError(f"the tool did not return JSON: {text[:200]}") from None
    if not isinstance(rows, list):
        raise StoryError(f"the tool did not return a list: {text[:200]}")
    return rows  # pyright: ignore[reportUnknownVariableType]


def check_rows(user: User, rows: list[dict[str, Any]]) -> None:
    """The rows are those of the user's region, all of them, once each, with a price."""
    ids = sorted(str(row.get("id")) for row in rows)
    expect(ids == sorted(user.stocks), f"{user.email} got {', '.join(ids) or 'nothing'}")
    for row in rows:
        expect(row.get("region", user.region) == user.region, f"{row.get('id')} is in {row.get('region')}")
        expect(
            isinstance(row.get("price"), (int, float)) and row["price"] > 0, f"{row.get('id')} has no price"
        )
