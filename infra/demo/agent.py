"""An AI agent without a model: an ordinary MCP client that authorizes itself as the specification says.

All of OAuth is the MCP SDK's own (discovery, registration, PKCE, `resource`, `state`, `iss`); only the
user at the browser is scripted.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from demo.agent_identity import NAME, REDIRECT_URI
from demo.browser import AuthorizationResponse, Browser, BrowserError, Visitor
from demo.network import Network
from demo.wire import OnExchange, response_hook

TIMEOUT_SECONDS: Final = 30.0
BROWSER_TIMEOUT_SECONDS: Final = 10.0


class NotAuthorizedError(Exception):
    """The user, or the authorization server on their behalf, said no (RFC 6749 §4.1.2.1)."""

    def __init__(self, response: AuthorizationResponse) -> None:
        super().__init__(f"{response.error}: {response.error_description or 'no description'}")
        self.response = response


@dataclass(slots=True, repr=False)
class Wallet:
    """Where the SDK keeps the agent's registration and token: in memory."""

    tokens: OAuthToken | None = None
    registration: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the token, if there is one."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the token."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration, if there is one."""
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the registration."""
        self.registration = client_info


@dataclass(frozen=True, slots=True)
class Agent:
    """A connected agent."""

    client: Client
    wallet: Wallet
    responses: list[AuthorizationResponse]


@dataclass(slots=True)
class _UserAtBrowser:
    visitor: Visitor
    on_exchange: OnExchange
    network: Network
    responses: list[AuthorizationResponse] = field(default_factory=list[AuthorizationResponse])
    failure: BrowserError | NotAuthorizedError | None = None

    async def redirect(self, url: str) -> None:
        client = self.network.client(
            timeout_seconds=BROWSER_TIMEOUT_SECONDS, on_response=response_hook("browser", self.on_exchange)
        )
        async with Browser(REDIRECT_URI, client=client) as browser:
            try:
                self.responses.append(await self.visitor.go(browser, url))
            except BrowserError as error:
                self.failure = error
                raise

    async def callback(self) -> AuthorizationCodeResult:
        response = self.responses[-1]
        if response.error is not None or response.code is None:
            self.failure = NotAuthorizedError(response)
            raise self.failure
        return AuthorizationCodeResult(code=response.code, state=response.state, iss=response.iss)


def _ignore(_: object) -> None:
    pass


@asynccontextmanager
async def connected_agent(
    mcp_url: str,
    visitor: Visitor,
    *,
    name: str = NAME,
    metadata_url: str | None = None,
    on_exchange: OnExchange = _ignore,
    wallet: Wallet | None = None,
    network: Network | None = None,
) -> AsyncGenerator[Agent]:
    """Connect to an MCP server on behalf of a user, and authorize when it asks for that.

    Args:
        mcp_url: the MCP endpoint.
        visitor: who sits at the browser when the agent opens it.
        name: the client name the user reads on the consent page, if the agent registers.
        metadata_url: the document that describes the agent; an authorization server that reads such documents
            then knows it by that URL, without registration.
        on_exchange: told about everything on the wire, the browser's requests included.
        wallet: a registration and token of an earlier connection.
        network: how to reach everybody; plainly if absent.

    Raises:
        NotAuthorizedError: the user said no.
        BrowserError: the user did not find the way.
    """
    kept = wallet if wallet is not None else Wallet()
    network = network or Network()
    at_browser = _UserAtBrowser(visitor, on_exchange, network)
    provider = OAuthClientProvider(
        server_url=mcp_url,
        client_metadata=OAuthClientMetadata(
            client_name=name,
            redirect_uris=[AnyUrl(REDIRECT_URI)],
            token_endpoint_auth_method="none",  # noqa: S106  a method, not a password
        ),
        storage=kept,
        redirect_handler=at_browser.redirect,
        callback_handler=at_browser.callback,
        client_metadata_url=metadata_url,
    )
    http_client = network.client(
        timeout_seconds=TIMEOUT_SECONDS, auth=provider, on_response=response_hook("agent", on_exchange)
    )
    try:
        async with (
            http_client,
            Client(streamable_http_client(mcp_url, http_client=http_client)) as client,
        ):
            yield Agent(client, kept, at_browser.responses)
    except Exception as error:
        # The SDK may report a failed authorization as a broken connection, and its tasks wrap it.
        cause = at_browser.failure or _only_leaf(error)
        if cause is error:
            raise
        raise cause from error


def _only_leaf(error: Exception) -> Exception:
    """Unwrap groups of one."""
    inner: tuple[Exception, ...] = getattr(error, "exceptions", ())
    return _only_leaf(inner[0]) if len(inner) == 1 else error
