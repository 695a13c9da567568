"""An agent with a key of its own: it registers the key, and proves itself with it (RFC 7591, RFC 7523 §2.2).

That is worth assurance level 2 to the development authorization server; an agent without a key, which could
be anybody's, has level 1.
"""

import base64
import hashlib
import secrets
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx2

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from demo.agent_identity import REDIRECT_URI
from demo.browser import Browser, Visitor
from demo.inbox import newest_password
from demo.keys import public_part, signing_key
from demo.stack import Stack


async def token_of(stack: Stack, http: httpx2.AsyncClient, email: str, scope: str, *, proven: bool) -> str:
    """Register an agent, let the user consent to the scope, and return the opaque token."""
    issuer = stack.addresses.issuer
    key = signing_key("agent") if proven else None
    client_id = await _registered(http, issuer, key)
    verifier = secrets.token_urlsafe(48)
    code = await _consented(stack, email, client_id, scope, verifier)
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": verifier,
        "resource": stack.addresses.mcp,
    }
    if key is not None:
        form |= ClientAssertionSigner(client_id, key, now=system_clock).parameters(issuer)
    response = await http.post(issuer + "/token", data=form)
    assert response.status_code == 200, response.text
    return response.json()["access_token"]


async def _registered(http: httpx2.AsyncClient, issuer: str, key: dict[str, Any] | None) -> str:
    metadata: dict[str, Any] = {"client_name": "Trading agent", "redirect_uris": [REDIRECT_URI]}
    if key is None:
        metadata["token_endpoint_auth_method"] = "none"
    else:
        metadata |= {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public_part(key)]}}
    response = await http.post(issuer + "/register", json=metadata)
    assert response.status_code == 201, response.text
    return response.json()["client_id"]


async def _consented(stack: Stack, email: str, client_id: str, scope: str, verifier: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": REDIRECT_URI,
        "scope": scope,
        "state": secrets.token_urlsafe(16),
        "resource": stack.addresses.mcp,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    visitor = Visitor(email, partial(newest_password, stack.addresses.inbox))
    async with Browser(REDIRECT_URI) as browser:
        answer = await visitor.go(browser, f"{stack.addresses.issuer}/authorize?{urlencode(parameters)}")
    assert answer.code is not None, answer.error_description
    return answer.code
