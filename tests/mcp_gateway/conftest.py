"""The gateway in one process with the real stocks API and a broker that says what a test tells it."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from mcp.types import CallToolResult, TextContent, Tool
from pydantic import SecretStr

from mcp_gateway.app import create_app
from mcp_gateway.policy import TOOL_RULES, Risk, Rule
from mcp_gateway.server import TOOLS
from mcp_gateway.settings import Settings
from mcp_gateway.tools.tool import GatewayTool, Upstream
from stocks.app import create_app as create_stocks
from stocks.settings import Settings as StocksSettings
from tests.support.dpop import DPoPKey
from tests.support.issuer import ISSUER, JWKS_URI, Clock, Issuer, ec_key
from tests.support.messages import LEGACY, call_message

RESOURCE = "https://mcp.test/mcp"
API = "https://api.demo.example"
PAGE_CLIENT = "gateway-approvals"
KEY = "A" * 43
METADATA = "https://mcp.test/.well-known/oauth-protected-resource/mcp"


@dataclass
class FakeBroker:
    """Knows opaque tokens by name; counts what it is asked."""

    issuer: Issuer
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    introspections: int = 0
    exchanges: int = 0
    forms: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    headers: list[httpx.Headers] = field(default_factory=list[httpx.Headers])
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.forms.append(form)
        self.headers.append(request.headers)
        told = self.answer(request)
        if request.url.path == "/introspect":
            self.introspections += 1
            return told or self._introspect(form["token"])
        self.exchanges += 1
        return told or self._exchange(form)

    def _introspect(self, token: str) -> httpx.Response:
        if token not in self.tokens:
            return httpx.Response(204)
        jwt = self.issuer.sign(**self.tokens[token])
        headers = {"content-type": "application/jwt"} | self._tag(token)
        return httpx.Response(200, text=jwt, headers=headers)

    def _exchange(self, form: dict[str, str]) -> httpx.Response:
        if form["subject_token"] not in self.tokens:
            return httpx.Response(400, json={"error": "invalid_grant"})
        claims: dict[str, Any] = self.tokens[form["subject_token"]] | {"aud": form["audience"]}
        claims["scope"] = form["scope"]
        claims["act"] = {"sub": "token-broker"}
        # We have shown no key of ours, so the token is bound to none (RFC 8693 §1.1, RFC 9449 §5).
        claims.pop("cnf", None)
        document = {"access_token": self.issuer.sign(**claims), "token_type": "Bearer", "expires_in": 900}
        return httpx.Response(200, json=document, headers=self._tag(form["subject_token"]))

    def _tag(self, token: str) -> dict[str, str]:
        delegation = self.tokens[token].get("delegationId")
        return {} if delegation is None else {"delegation-tag": delegation}


@dataclass
class Network:
    """Everything the gateway can reach. Anything else is refused."""

    issuer: Issuer
    broker: FakeBroker
    stocks: FastAPI
    clock: Clock
    api: Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]] | None = None
    codes: dict[str, str] = field(default_factory=dict[str, str])
    """Authorization codes, and the access token each of them is good for."""
    redeemed: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """The forms that came to the token endpoint."""
    token_endpoint: Callable[[httpx.Request], httpx.Response] | None = None
    api_requests: list[httpx.Request] = field(default_factory=list[httpx.Request])
    real_broker: httpx.AsyncBaseTransport | None = None
    """Answers instead of the fake one."""
    before_answer: Callable[[httpx.Request], Awaitable[None]] | None = None
    """Runs when an answer is ready to leave: whatever it says was true before."""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        response = await self._answer(request)
        if self.before_answer is not None:
            await self.before_answer(request)
        return response

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.host:
            case "login.test" if request.url.path == "/token":
                await request.aread()
                return (self.token_endpoint or self._redeem)(request)
            case "login.test":
                return self.issuer.respond(request)
            case "broker.test":
                await request.aread()
                if self.real_broker is not None:
                    return await self.real_broker.handle_async_request(request)
                return self.broker(request)
            case "api.test":
                self.api_requests.append(request)
                if self.api is not None:
                    told = self.api(request)
                    return told if isinstance(told, httpx.Response) else await told
                return await httpx.ASGITransport(self.stocks).handle_async_request(request)
            case host:
                raise httpx.ConnectError(f"nobody at {host}")

    def _redeem(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.redeemed.append(form)
        token = self.codes.pop(form["code"], None)
        if token is None:
            return httpx.Response(400, json={"error": "invalid_grant"})
        return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": 300})


@dataclass
class Gateway:
    """The gateway under test, and how to talk to it."""

    app: FastAPI
    http: httpx.AsyncClient
    network: Network

    async def post(
        self, message: object, *, token: str | None = "john", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        bearer = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.http.post("/mcp", content=content, headers=LEGACY | bearer | (headers or {}))

    async def call(self, tool: str, *, token: str | None = "john", **arguments: Any) -> httpx.Response:
        return await self.post(call_message(tool, **arguments), token=token)


Calls = list[Mapping[str, Any]]
Plant = Callable[[str, Rule], Calls]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Adds a tool with a rule; what it was called with ends up in the list."""

    def planted(name: str, rule: Rule) -> list[Mapping[str, Any]]:
        calls: list[Mapping[str, Any]] = []

        async def run(_: Upstream, __: object, arguments: Mapping[str, Any]) -> CallToolResult:
            calls.append(arguments)
            return CallToolResult(content=[TextContent(type="text", text="done")])

        definition = Tool(name=name, input_schema={"type": "object"})
        monkeypatch.setitem(TOOLS, name, GatewayTool(definition, run))
        monkeypatch.setitem(TOOL_RULES, name, rule)
        return calls

    return planted


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key(clock: Clock) -> DPoPKey:
    return DPoPKey(clock)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    key_file = tmp_path / "client-key.json"
    key_file.write_text(json.dumps(ec_key("gateway").as_dict(private=True)))
    return Settings(
        resource=RESOURCE,
        issuer=ISSUER,
        jwks_uri=JWKS_URI,
        broker_url="https://broker.test",
        broker_client_key_file=key_file,
        api_url="https://api.test",
        api_audience=API,
        allowed_origins=frozenset({"https://inspector.test"}),
    )


@pytest.fixture
async def gateway(settings: Settings, clock: Clock) -> AsyncGenerator[Gateway]:
    async with running(settings, clock) as gateway:
        yield gateway


@asynccontextmanager
async def running(settings: Settings, clock: Clock) -> AsyncGenerator[Gateway]:
    credential = settings.broker_client_key_file or settings.broker_token_file
    assert credential is not None
    issuer = Issuer()
    broker = FakeBroker(
        issuer,
        {
            "john": {"sub": "john", "region": "USA", "delegationId": "d-john"},
            "jane": {"sub": "jane", "region": "Europe", "delegationId": "d-jane"},
            "nobody": {"sub": "nobody", "scope": "profile", "delegationId": "d-nobody"},
        },
    )
    network_clock = clock
    stocks = create_stocks(
        StocksSettings(
            issuer=ISSUER,
            jwks_uri=JWKS_URI,
            audience=API,
            store_url=SecretStr(f"sqlite:///{credential.parent / 'stocks.sqlite'}"),
            allowed_actors=frozenset({"token-broker"}),
        ),
        transport=issuer.transport(),
        now=network_clock,
    )
    network = Network(issuer, broker, stocks, clock)
    app = create_app(settings, transport=httpx.MockTransport(network), now=clock)
    async with LifespanManager(stocks) as running_stocks, LifespanManager(app) as running:
        network.stocks = running_stocks.app  # type: ignore[assignment]
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(running.app), base_url="https://mcp.test"
        ) as http:
            yield Gateway(app, http, network)


def approving(settings: Settings, redis_url: str, **changes: Any) -> Settings:
    """The settings of a gateway that asks users."""
    update = {
        "redis_url": SecretStr(redis_url),
        "state_key": SecretStr(KEY),
        "approval_client_id": PAGE_CLIENT,
        "authorization_endpoint": "https://login.test/authorize",
        "token_endpoint": "https://login.test/token",
        "approval_wait_seconds": 0.0,
    }
    return settings.model_copy(update=update | changes)


@pytest.fixture
async def asking(settings: Settings, clock: Clock, redis_url: str) -> AsyncGenerator[Gateway]:
    """A gateway that asks users."""
    async with running(approving(settings, redis_url), clock) as gateway:
        yield gateway


@pytest.fixture
def undo(plant: Plant) -> Calls:
    """What a tool of medium risk was called with."""
    return plant("undo", Rule(scope=frozenset({"stocks/read"}), risk=Risk.MEDIUM))


@pytest.fixture
def order(plant: Plant) -> Calls:
    """What a tool of high risk was called with."""
    return plant("order", Rule(scope=frozenset({"stocks/read"}), risk=Risk.HIGH))
