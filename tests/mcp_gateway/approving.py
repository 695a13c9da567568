"""A gateway that asks users, agents of both eras that call it, and a user with a browser."""

import itertools
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from mcp_gateway.approvals.gate import QUESTION
from tests.mcp_gateway.conftest import PAGE_CLIENT, Gateway, Network
from tests.support.issuer import ISSUER
from tests.support.messages import MODERN, call_message

FORM: dict[str, Any] = {"elicitation": {"form": {}}}
URL: dict[str, Any] = {"elicitation": {"url": {}}}
BOTH: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}}
ORDER: dict[str, Any] = {"symbol": "COM1", "side": "buy", "quantity": 5, "limit": 450.5}


def changed(**changes: Any) -> dict[str, Any]:
    """The order with other arguments."""
    return ORDER | changes


async def modern(
    gateway: Gateway,
    tool: str,
    arguments: dict[str, Any] | None = None,
    *,
    capabilities: dict[str, Any] = BOTH,
    token: str = "john",
    **carried: Any,
) -> dict[str, Any]:
    """Call as a client of 2026-07-28 does; return the JSON-RPC response."""
    message = call_message(tool, **(ORDER if arguments is None else arguments))
    message["params"] |= carried | {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }
    }
    headers = MODERN | {"mcp-method": "tools/call", "mcp-name": tool}
    response = await gateway.post(message, token=token, headers=headers)
    assert response.status_code in (200, 400), response.text
    return response.json()


def answered(action: str, **content: Any) -> dict[str, Any]:
    """The `inputResponses` of a client whose user answered our question."""
    answer: dict[str, Any] = {"action": action}
    return {QUESTION: answer | ({"content": content} if content else {})}


async def asked(gateway: Gateway, tool: str, **options: Any) -> tuple[dict[str, Any], str]:
    """Call, expect to be asked something, and return the question and the state."""
    result = (await modern(gateway, tool, **options))["result"]
    assert result["resultType"] == "input_required", result
    return result["inputRequests"][QUESTION]["params"], result["requestState"]


YES: dict[str, Any] = answered("accept", approve=True)


def carrying(state: str, responses: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the next round brings along."""
    return {"requestState": state} | ({} if responses is None else {"inputResponses": responses})


def text_of(response: dict[str, Any]) -> str:
    """What the model reads; fails unless it is a tool's result that says that it failed."""
    assert response["result"].get("isError"), response
    return response["result"]["content"][0]["text"]


def page_in(text: str) -> str:
    """The path of the approval page that a refusal names."""
    found = re.search(r"https://mcp\.test(/approvals/[A-Za-z0-9_-]+)", text)
    assert found is not None, text
    return found[1]


@dataclass
class Person:
    """A user with a browser who is signed in at the authorization server."""

    network: Network
    http: httpx.AsyncClient
    subject: str
    visits: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What the authorization endpoint was asked."""
    codes: Any = field(default_factory=itertools.count)

    async def open(self, path: str) -> httpx.Response:
        """Open a page, and go round by the authorization server if it sends us there."""
        response = await self.http.get(path)
        while response.status_code == 303:
            location = response.headers["location"]
            if urlsplit(location).hostname == "login.test":
                location = self.sign_in(location)
            response = await self.http.get(location)
        return response

    def sign_in(self, location: str, **changes: str) -> str:
        """What the authorization server does with a user who agrees: a code, for a token of theirs."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.visits.append(asked)
        code, token = f"code-{self.subject}-{next(self.codes)}", f"page-{self.subject}"
        claims = {"sub": self.subject, "client_id": PAGE_CLIENT, "scope": "approvals"}
        self.network.broker.tokens[token] = claims
        self.network.codes[code] = token
        answer = {"code": code, "state": asked["state"], "iss": ISSUER} | changes
        kept = {name: value for name, value in answer.items() if value}
        return str(httpx.URL(asked["redirect_uri"], params=kept))

    async def decide(self, path: str, decision: str, *, csrf: str | None = None) -> httpx.Response:
        """Press a button of the page, and follow."""
        if csrf is None:
            csrf = csrf_of(await self.open(path))
        response = await self.http.post(
            path, data={"csrf": csrf, "decision": decision}, headers={"origin": "https://mcp.test"}
        )
        return await self.open(path) if response.status_code == 303 else response


def csrf_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


@asynccontextmanager
async def person(gateway: Gateway, subject: str = "john") -> AsyncGenerator[Person]:
    transport = httpx.ASGITransport(gateway.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://mcp.test") as http:
        yield Person(gateway.network, http, subject)
