"""An authorization server that answers as a product's documentation shows, and remembers the questions."""

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import httpx
from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey
from joserfc.jws import extract_compact

from tests.support.issuer import NOW, ec_key

Form = dict[str, str]
Answer = Callable[[Form], httpx.Response]


@cache
def rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "rsa-1", "alg": "RS256", "use": "sig"}, private=True)


@dataclass
class Product:
    """Where it is, how it signs, and what it answers at its two endpoints."""

    issuer: str
    key: Key = field(default_factory=rsa_key)
    typ: str | None = "at+jwt"
    introspection_endpoint: str = ""
    token_endpoint: str = ""
    on_introspect: Answer | None = None
    on_token: Answer | None = None
    introspections: list[Form] = field(default_factory=list[Form])
    exchanges: list[Form] = field(default_factory=list[Form])
    pages: dict[str, Any] = field(default_factory=dict[str, Any])
    """JSON documents that it publishes, by URL."""
    headers: list[httpx.Headers] = field(default_factory=list[httpx.Headers])

    @property
    def jwks_uri(self) -> str:
        return self.issuer.rstrip("/") + "/keys"

    def sign(self, header_typ: str | None = "", /, **claims: Any) -> str:
        """Sign claims; a claim of `None` is left out."""
        kind = self.typ if header_typ == "" else header_typ
        header = {"alg": str(self.key.alg), "kid": str(self.key.kid)} | ({"typ": kind} if kind else {})
        standard: dict[str, Any] = {"iss": self.issuer, "iat": NOW, "exp": NOW + 900}
        all_claims = {name: value for name, value in (standard | claims).items() if value is not None}
        return jwt.encode(header, all_claims, self.key, algorithms=[str(self.key.alg)])

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if url == self.jwks_uri:
            return httpx.Response(200, json=KeySet([self.key]).as_dict(private=False))
        if request.method == "GET":
            found = url in self.pages
            return httpx.Response(200 if found else 404, json=self.pages.get(url))
        form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        self.headers.append(request.headers)
        if url == self.introspection_endpoint and self.on_introspect is not None:
            self.introspections.append(form)
            return self.on_introspect(form)
        assert url == self.token_endpoint, url
        assert self.on_token is not None
        self.exchanges.append(form)
        return self.on_token(form)


def ec_product(issuer: str, **changes: Any) -> Product:
    """Return a product that signs with ES256."""
    return Product(issuer, key=ec_key("ec-1"), **changes)


def granted(access_token: str, **members: Any) -> httpx.Response:
    """Return a token response; a member of `None` is left out."""
    body: dict[str, Any] = {"access_token": access_token, "token_type": "Bearer", "expires_in": 300} | members
    return httpx.Response(200, json={name: value for name, value in body.items() if value is not None})


def without_proof(form: Form) -> Form:
    """Return the parameters of a request without those that authenticate the client."""
    proof = {"client_id", "client_assertion", "client_assertion_type", "client_secret"}
    return {name: value for name, value in form.items() if name not in proof}


def assertion_of(form: Form, name: str = "client_assertion") -> dict[str, Any]:
    """Return what an assertion says, header and claims in one."""
    signed = extract_compact(form[name].encode())
    return signed.headers() | json.loads(signed.payload or b"{}")


def basic_pair(headers: httpx.Headers) -> tuple[str, str]:
    """Return the client id and the secret of HTTP Basic (RFC 6749 §2.3.1)."""
    scheme, _, encoded = headers["authorization"].partition(" ")
    assert scheme == "Basic"
    client_id, _, secret = b64decode(encoded).decode().partition(":")
    return unquote_plus(client_id), unquote_plus(secret)
