"""Finding out who sits at the browser: authorization code with PKCE, as a client without a secret.

OAuth 2.1 §4.1, RFC 7636, RFC 8707, RFC 9207. The token is asked for this gateway and goes through its own
authentication, like any agent's; only whom it names is kept, and only for one approval.
"""

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from authcore.claims import VerifiedToken
from authcore.clock import Clock
from authcore.errors import InvalidRequest
from authcore.forms import parse_form
from authcore.http_client import send_bounded
from authcore.key_ring import base64url
from mcp_gateway.approvals.sealing import Sealer
from mcp_gateway.authentication import Authenticator

logger = logging.getLogger(__name__)

SIGN_IN_SECONDS: Final = 600
"""How long a user may take at the authorization server."""
SESSION_SECONDS: Final = 300
COOKIE: Final = "delegant-approval"
STATE_COOKIE: Final = "delegant-sign-in"


class SignInFailed(Exception):
    """Nobody was signed in. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who opened the page of one approval."""

    issuer: str
    subject: str
    csrf: str
    """What every form of the page has to bring back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """Who we are at the authorization server."""

    client_id: str
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    resource: str
    scope: str
    redirect_uri: str
    issuer_in_response: bool
    """Whether a redirect without `iss` is refused (RFC 9207 §2.4)."""


class _Tokens(BaseModel):
    access_token: str = Field(min_length=1, max_length=8192)


class SignIn:
    """Signs a browser in for one approval."""

    def __init__(
        self,
        oauth: OAuthClient,
        client: httpx.AsyncClient,
        authenticator: Authenticator,
        sealer: Sealer,
        *,
        path: str,
        now: Clock,
    ) -> None:
        self._oauth = oauth
        self._client = client
        self._authenticator = authenticator
        self._sealer = sealer
        self._path = path
        self._now = now

    def begin(self, approval_id: str) -> Response:
        """Send the browser to the authorization server."""
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        query = {
            "response_type": "code",
            "client_id": self._oauth.client_id,
            "redirect_uri": self._oauth.redirect_uri,
            "scope": self._oauth.scope,
            "state": state,
            "code_challenge": base64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "resource": self._oauth.resource,
        }
        endpoint = self._oauth.authorization_endpoint
        response = see_other(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}")
        document = {"state": state, "verifier": verifier, "approval": approval_id}
        sealed = self._sealer.seal("sign-in", document, until=self._now() + SIGN_IN_SECONDS)
        self._set_cookie(response, STATE_COOKIE, sealed, path=self._callback_path, seconds=SIGN_IN_SECONDS)
        return response

    async def finish(self, request: Request) -> Response:
        """Take the authorization response, and send the browser back to the approval it came from.

        Raises:
            SignInFailed: it is not the answer to what this browser asked, or it is no.
            OAuthError: the token is not acceptable, or could not be had.
        """
        begun = self._sealer.open("sign-in", request.cookies.get(STATE_COOKIE, ""))
        code = self._checked_code(request, begun)
        if begun is None:
            raise SignInFailed("This sign-in was not begun in this browser, or it took too long.")
        token = await self._token(code, begun["verifier"])
        approval_id = begun["approval"]
        response = see_other(f"{self._path}/{approval_id}")
        document = {"iss": token.issuer, "sub": token.subject, "csrf": secrets.token_urlsafe(32)}
        until = min(self._now() + SESSION_SECONDS, token.expires_at)
        sealed = self._sealer.seal(f"session {approval_id}", document, until=until)
        self._set_cookie(
            response, COOKIE, sealed, path=f"{self._path}/{approval_id}", seconds=SESSION_SECONDS
        )
        response.delete_cookie(STATE_COOKIE, path=self._callback_path)
        return response

    def visitor(self, request: Request, approval_id: str) -> Visitor | None:
        """Return who was signed in for this approval in this browser, if anybody was."""
        document = self._sealer.open(f"session {approval_id}", request.cookies.get(COOKIE, ""))
        return None if document is None else Visitor(document["iss"], document["sub"], document["csrf"])

    def _checked_code(self, request: Request, begun: dict[str, Any] | None) -> str:
        try:
            form = parse_form(request.url.query)
            state, issuer = form.get("state") or "", form.get("iss")
            error, code = form.get("error"), form.get("code")
        except InvalidRequest:
            raise SignInFailed("The authorization server's answer is malformed.") from None
        if begun is None or not hmac.compare_digest(begun["state"].encode(), state.encode()):
            raise SignInFailed("This sign-in was not begun in this browser, or it took too long.")
        # Nothing of a response is believed, errors included, before it is known whose it is (RFC 9207 §2.4).
        if issuer != self._oauth.issuer and (issuer is not None or self._oauth.issuer_in_response):
            raise SignInFailed("The answer comes from another authorization server than was asked.")
        if error is not None or code is None:
            raise SignInFailed("You were not signed in, so nothing was decided.")
        return code

    async def _token(self, code: str, verifier: str) -> VerifiedToken:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._oauth.redirect_uri,
            "client_id": self._oauth.client_id,
            "code_verifier": verifier,
            "resource": self._oauth.resource,
        }
        request = self._client.build_request(
            "POST", self._oauth.token_endpoint, data=form, headers={"accept": "application/json"}
        )
        response = await send_bounded(self._client, request)
        if response.status != 200:
            logger.info("sign-in: the token endpoint answered %s", response.status)
            raise SignInFailed("The authorization server did not accept the sign-in.")
        try:
            tokens = _Tokens.model_validate_json(response.body)
        except ValidationError:
            raise SignInFailed("The authorization server's answer is malformed.") from None
        token = await self._authenticator.identify(tokens.access_token)
        if token.client_id != self._oauth.client_id:
            # An agent's token for us says what that agent may do, not who is at this browser.
            raise SignInFailed("The authorization server's answer is for another application.")
        return token

    @property
    def _callback_path(self) -> str:
        return f"{self._path}/callback"

    def _set_cookie(self, response: Response, name: str, value: str, *, path: str, seconds: int) -> None:
        # Lax: the way back from the authorization server is a navigation from another site.
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=path,
            secure=self._oauth.redirect_uri.startswith("https:"),
            httponly=True,
            samesite="lax",
        )


def see_other(location: str) -> Response:
    """Return a redirect that is followed with GET and is not kept."""
    return Response(
        status_code=303,
        headers={"location": location, "cache-control": "no-store", "referrer-policy": "no-referrer"},
    )
