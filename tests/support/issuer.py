"""An issuer in memory: real keys, real signatures, a JWKS behind an httpx transport."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER = "https://login.test"
JWKS_URI = "https://login.test/jwks"
NOW = 1_800_000_000


@dataclass
class Clock:
    """A clock that moves when told."""

    seconds: int = NOW

    def __call__(self) -> int:
        return self.seconds


def ec_key(kid: str = "k1") -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256", "use": "sig"}, private=True)


@dataclass
class Issuer:
    """Signs what it is told to sign, good or bad."""

    issuer: str = ISSUER
    key: ECKey = field(default_factory=ec_key)
    published: list[ECKey] = field(default_factory=list[ECKey])
    fetches: int = 0
    fail: Callable[[], httpx.Response] | None = None
    hang: asyncio.Event | None = None

    def __post_init__(self) -> None:
        if not self.published:
            self.published = [self.key]

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A good token's claims; a change to `None` leaves the claim out."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": "https://mcp.test/mcp",
            "sub": "user-1",
            "client_id": "agent-1",
            "scope": "stocks/read",
            "iat": NOW,
            "nbf": NOW,
            "exp": NOW + 900,
            "jti": "jti-1",
            "delegationId": "delegation-1",
            "region": "USA",
            "client_type": "mcp",
            "client_assurance_level": 1,
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, header: dict[str, Any] | None = None, key: ECKey | None = None, **changes: Any) -> str:
        key = key or self.key
        return jwt.encode(
            {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"} | (header or {}), self.claims(**changes), key
        )

    def jwks(self) -> bytes:
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.published]}).encode()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        response = self.respond(request)
        if self.hang is not None:
            await self.hang.wait()
        return response

    def respond(self, _: httpx.Request) -> httpx.Response:
        self.fetches += 1
        if self.fail is not None:
            return self.fail()
        return httpx.Response(200, content=self.jwks(), headers={"content-type": "application/jwk-set+json"})

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)
