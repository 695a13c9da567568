"""An agent whose token is bound to its key, through the whole system (RFC 9449)."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

import httpx2

from authcore.clock import system_clock
from demo.agent import connected_agent
from demo.agent_identity import REDIRECT_URI
from demo.browser import Browser, Visitor
from demo.inbox import newest_password
from demo.network import Network
from tests.support.dpop import DPoPKey
from tests.support.dpop_transport import DPoPTransport
from tests.support.messages import LEGACY, call_message
from tests.support.system import JANE, JOHN, REGION, System, symbols

TOOL = "fetch-stock-prices"


@dataclass(frozen=True)
class ProvingNetwork(Network):
    """The demo's network for a client that does not know of its key."""

    key: DPoPKey = field(default_factory=lambda: DPoPKey(system_clock))

    def transport(self) -> httpx2.AsyncBaseTransport:
        return DPoPTransport(self.key, super().transport())


@dataclass(frozen=True, slots=True)
class BoundAgent:
    """Holds a key, and a token that is good with it alone."""

    system: System
    key: DPoPKey
    token: str

    async def call(self, *proofs: str, scheme: str = "DPoP", token: str | None = None) -> httpx2.Response:
        headers = [*LEGACY.items(), ("authorization", f"{scheme} {token or self.token}")]
        headers += [("dpop", proof) for proof in proofs]
        return await self.system.http.post(
            self.system.stack.addresses.mcp, json=call_message(TOOL), headers=headers
        )

    def proof(self, key: DPoPKey | None = None) -> str:
        return (key or self.key).proof("POST", self.system.stack.addresses.mcp, self.token)


async def bound_agent(system: System, email: str) -> BoundAgent:
    """Register, let the user agree, and redeem the code with a proof."""
    addresses, http, key = system.stack.addresses, system.http, DPoPKey(system_clock)
    metadata = {
        "client_name": "Agent with a key",
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": True,
    }
    registered = await http.post(addresses.issuer + "/register", json=metadata)
    client_id = registered.json()["client_id"]
    verifier = secrets.token_urlsafe(32)
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT_URI,
        "scope": "stocks/read",
        "state": "s",
        "resource": addresses.mcp,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "dpop_jkt": key.thumbprint,
    }
    client = httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(10.0))
    async with Browser(REDIRECT_URI, client=client) as browser:
        visitor = Visitor(email, partial(newest_password, addresses.inbox))
        response = await visitor.go(browser, f"{addresses.issuer}/authorize?{urlencode(query)}")
    assert response.code is not None
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": response.code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": verifier,
        "resource": addresses.mcp,
    }
    endpoint = addresses.issuer + "/token"
    answer = await http.post(endpoint, data=form, headers={"dpop": key.proof("POST", endpoint)})
    assert answer.json()["token_type"] == "DPoP", answer.text
    return BoundAgent(system, key, answer.json()["access_token"])


async def test_a_bound_token_works_with_its_key_and_is_worth_nothing_without(system: System) -> None:
    agent = await bound_agent(system, JOHN)
    for _ in range(3):
        assert symbols(await agent.call(agent.proof())) == REGION[JOHN]
    used = agent.proof()
    assert (await agent.call(used)).status_code == 200
    thief = DPoPKey(system_clock)
    for stolen in (
        await agent.call(),
        await agent.call(used),
        await agent.call(agent.proof(thief)),
        await agent.call(agent.proof(), scheme="Bearer"),
        await agent.call(agent.proof(), token=await system.phantom(agent.token)),
    ):
        assert stolen.status_code == 401
        assert "error=" in stolen.headers["www-authenticate"]
    assert (await system.stocks(await system.phantom(agent.token))).status_code == 401


async def test_bound_and_bearer_agents_of_two_users_are_served_side_by_side(system: System) -> None:
    bound, bearer = await bound_agent(system, JANE), await system.token(JOHN)
    assert symbols(await bound.call(bound.proof())) == REGION[JANE]
    assert symbols(await system.call(bearer)) == REGION[JOHN]
    wrong = await bound.call(bound.key.proof("POST", system.stack.addresses.mcp, bearer), token=bearer)
    assert wrong.status_code == 401


async def test_the_client_that_the_conformance_suite_has_passed_authorizes_itself_and_calls(
    system: System,
) -> None:
    addresses, network = system.stack.addresses, ProvingNetwork()
    visitor = Visitor(JANE, partial(newest_password, addresses.inbox))
    async with connected_agent(addresses.mcp, visitor, network=network) as agent:
        result = await agent.client.call_tool(TOOL, {})
        assert agent.wallet.tokens is not None
        token = agent.wallet.tokens.access_token
    assert result.structured_content is not None
    assert {stock["id"] for stock in result.structured_content["stocks"]} == REGION[JANE]
    # It was the key that opened the door: the token alone does not.
    assert (await system.call(token)).status_code == 401
