"""An authorization server behind an httpx transport: answers well, or as badly as a test wants."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
from joserfc.jwk import ECKey

from authcore.client_assertion import ClientAssertionVerifier, StaticKeys
from authcore.clock import Clock
from authcore.oauth2_types import TOKEN_TYPE_ACCESS_TOKEN
from tests.support.issuer import ISSUER, NOW, Issuer

INTROSPECT = f"{ISSUER}/introspect"
TOKEN = f"{ISSUER}/token"

Answer = Callable[[], httpx.Response]


@dataclass
class FakeAuthorizationServer:
    """Knows the subject tokens it was given. A token that is not known is not active."""

    clock: Clock
    broker_keys: list[ECKey]
    issuer: Issuer = field(default_factory=Issuer)
    active: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    introspections: int = 0
    exchanges: int = 0
    exchanged_claims: dict[str, Any] = field(default_factory=dict[str, Any])
    """Changes to the claims of exchanged tokens."""
    forms: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    jwts: list[str] = field(default_factory=list[str])
    """Every token that was ever handed out."""
    on_introspect: Answer | None = None
    on_exchange: Answer | None = None
    held: frozenset[str] = frozenset({INTROSPECT, TOKEN})
    """Which requests say that they are there, and wait until they may be answered."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    def knows(self, token: str, **claims: Any) -> str:
        """Make a subject token active; the changes are to the claims of its JWT."""
        self.active[token] = claims
        return token

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.respond)

    async def respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jwks":
            return self.issuer.respond(request)
        form = dict(parse_qsl(request.content.decode()))
        self.forms.append(form)
        await self._authenticate(form)
        if str(request.url) in self.held:
            self.asked.set()
            await self.may_answer.wait()
        if str(request.url) == INTROSPECT:
            self.introspections += 1
            assert request.headers["accept"] == "application/jwt"
            return self.on_introspect() if self.on_introspect else self._introspect(form)
        assert str(request.url) == TOKEN
        self.exchanges += 1
        return self.on_exchange() if self.on_exchange else self._exchange(form)

    async def _authenticate(self, form: dict[str, str]) -> None:
        async def first_use(_key: str, _until: int) -> bool:
            return True

        verifier = ClientAssertionVerifier(frozenset({ISSUER}), now=self.clock, first_use=first_use)
        await verifier.verify(form["client_assertion"], "token-broker", StaticKeys([*self.broker_keys]))

    def phantom(self, token: str) -> str:
        jwt = self.issuer.sign(**self.active[token])
        self.jwts.append(jwt)
        return jwt

    def _introspect(self, form: dict[str, str]) -> httpx.Response:
        if form["token"] not in self.active:
            return httpx.Response(204)
        return jwt_response(self.phantom(form["token"]))

    def _exchange(self, form: dict[str, str]) -> httpx.Response:
        subject = self.active.get(form["subject_token"])
        if subject is None:
            return httpx.Response(400, json={"error": "invalid_grant"})
        claims: dict[str, Any] = {
            "exp": NOW + 600,
            **subject,
            "iat": self.clock(),
            "aud": form["audience"],
            "scope": form["scope"],
            "jti": f"exchanged-{self.exchanges}",
            "act": {"sub": "token-broker"},
            **self.exchanged_claims,
        }
        jwt = self.issuer.sign(**claims)
        self.jwts.append(jwt)
        return token_response(jwt)


def jwt_response(jwt: str) -> httpx.Response:
    return httpx.Response(200, text=jwt, headers={"content-type": "application/jwt"})


def token_response(jwt: str, **changes: Any) -> httpx.Response:
    answer: dict[str, Any] = {
        "access_token": jwt,
        "issued_token_type": TOKEN_TYPE_ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "stocks/read",
    } | changes
    return httpx.Response(200, json=answer)
