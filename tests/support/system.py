"""Reaching into a running system as its own parts would, to show what each of them would answer."""

import json
import sqlite3
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import extract_compact

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN
from demo.agent import connected_agent
from demo.browser import Visitor
from demo.inbox import newest_password
from demo.parts import API_AUDIENCE, GATEWAY_CLIENT
from demo.stack import Stack
from tests.support.messages import LEGACY, call_message

JOHN = "john.doe@demo.example"
JANE = "jane.test@demo.example"
REGION = {JOHN: {"COM1", "COM4"}, JANE: {"COM2", "COM3"}}


@dataclass(frozen=True, slots=True)
class System:
    """A running stack and one HTTP client."""

    stack: Stack
    http: httpx2.AsyncClient
    codes: list[str] = field(default_factory=list[str])
    """Every authorization code that was used."""

    async def token(self, email: str) -> str:
        """Register, log in, consent: the opaque token of a new delegation."""
        addresses = self.stack.addresses
        visitor = Visitor(email, partial(newest_password, addresses.inbox))
        async with connected_agent(addresses.mcp, visitor) as agent:
            self.codes.extend(answer.code for answer in agent.responses if answer.code is not None)
            assert agent.wallet.tokens is not None
            return agent.wallet.tokens.access_token

    async def call(self, token: str, tool: str = "fetch-stock-prices") -> httpx2.Response:
        return await self.post(json.dumps(call_message(tool)).encode(), token)

    async def post(self, body: bytes, token: str | None) -> httpx2.Response:
        bearer = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.http.post(self.stack.addresses.mcp, content=body, headers=LEGACY | bearer)

    async def stocks(self, token: str) -> httpx2.Response:
        return await self.http.get(
            self.stack.addresses.api + "/stocks", headers={"authorization": f"Bearer {token}"}
        )

    async def phantom(self, token: str) -> str:
        """The JWT that the gateway gets for an opaque token."""
        response = await self._at_broker("/introspect", {"token": token}, "application/jwt")
        assert response.status_code == 200
        return response.text

    async def exchanged(self, token: str, *, scope: str = "stocks/read") -> str:
        """The JWT that the gateway gets for the API."""
        form = {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            "audience": API_AUDIENCE,
            "scope": scope,
        }
        response = await self._at_broker("/token", form, "application/json")
        assert response.status_code == 200
        return response.json()["access_token"]

    async def _at_broker(self, path: str, form: dict[str, str], accept: str) -> httpx2.Response:
        key: dict[str, Any] = json.loads((self.stack.directory / "gateway-key.json").read_text())
        signer = ClientAssertionSigner(GATEWAY_CLIENT, key, now=system_clock)
        broker = self.stack.addresses.broker
        return await self.http.post(
            broker + path, data=form | signer.parameters(broker), headers={"accept": accept}
        )

    async def counters(self) -> dict[str, int]:
        """What the authorization server was asked so far."""
        response = await self.http.get(self.stack.addresses.issuer + "/debug/counters")
        return response.json()

    def forge(self, token: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Sign the claims of a JWT again, changed, with the authorization server's own key."""
        key = signing_key(self.stack.directory / "authserver.sqlite")
        claims = payload(token) | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "at+jwt"} | (header or {}), kept, key)


def payload(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    return json.loads(extract_compact(token.encode()).payload or b"{}")


def signing_key(database: Path) -> ECKey:
    """The authorization server's private key, from its file."""
    with sqlite3.connect(database) as connection:
        row = connection.execute(
            "SELECT private_jwk FROM signing_keys WHERE signs_from IS NOT NULL"
        ).fetchone()
    connection.close()
    return ECKey.import_key(json.loads(row[0]))


def symbols(response: httpx2.Response) -> set[str]:
    """The stocks in the result of `fetch-stock-prices`; fails on anything but a good result."""
    assert response.status_code == 200, response.text
    result = response.json()["result"]
    assert not result["isError"], result
    return {stock["id"] for stock in result["structuredContent"]["stocks"]}
