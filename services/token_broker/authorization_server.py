"""The outbound client of the authorization server: each operation is sent, then processed.

Only two answers of introspection mean anything: what was asked for, and a clear "inactive". Whatever else
comes is trouble at the other end, which is neither "active" nor "inactive".
"""

import asyncio
import json
import logging
import secrets
from typing import Any, Final, cast

import httpx

from authcore.authentication_demand import AuthenticationDemand, demand_of
from authcore.errors import (
    AccessDenied,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
)
from authcore.http_client import BoundedResponse, send_bounded
from authcore.oauth2_types import MEDIA_TYPE_JWT
from authcore.validator import is_compact_jws
from token_broker.adapters.token_request import Adapter, TokenRequest
from token_broker.credentials import Prove
from token_broker.endpoint_guard import EndpointGuard

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 1024
MIN_PAUSE_SECONDS = 0.05

_VERDICTS: Final[dict[str, type[OAuthError]]] = {
    "invalid_grant": InvalidGrant,
    "invalid_token": InvalidGrant,
    # RFC 8693 §2.2.2 has this code for a dead subject token as well as for a malformed request.
    "invalid_request": InvalidRequest,
    "invalid_scope": InvalidScope,
    "invalid_target": InvalidTarget,
    "access_denied": AccessDenied,
}
"""What the server may say of an exchange that is for our caller to know."""

_COME_AGAIN: Final = frozenset(
    {"interaction_required", "login_required", "consent_required", "insufficient_user_authentication"}
)
"""The subject token is good, but the user is wanted (OIDC Core §3.1.2.6, RFC 9470 §3)."""

_KNOWN_CODES: Final = frozenset(_VERDICTS) | {
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "server_error",
    "temporarily_unavailable",
}


class InteractionRequired(InvalidGrant):
    """The user must authenticate again before this exchange; `demand` says what must be asked for then.

    To a caller it is a dead subject token, since the way on is the same; the demand goes along.
    """

    def __init__(self, demand: AuthenticationDemand) -> None:
        super().__init__("The user must authenticate again", reason="interaction required")
        self.demand = demand


class AuthorizationServer:
    """Sends requests, authenticated as the broker."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        prove: Prove,
        adapter: Adapter,
        *,
        introspection_endpoint: str,
        token_endpoint: str,
        deadline_seconds: float,
    ) -> None:
        self._client = client
        self._prove = prove
        self._adapter = adapter
        self._introspection_endpoint = introspection_endpoint
        self._token_endpoint = token_endpoint
        self._deadline_seconds = deadline_seconds
        self._guards = {url: EndpointGuard(url) for url in (introspection_endpoint, token_endpoint)}

    async def send_introspection(self, token: str, *, accept: str = MEDIA_TYPE_JWT) -> BoundedResponse:
        """Ask what a token stands for, in the form that `accept` names (RFC 7662 §2.1).

        Raises:
            TemporarilyUnavailable: no answer, or one that is too late or too long.
        """
        form = {"token": token, "token_type_hint": "access_token"}
        # Asking twice changes nothing there; an exchange might.
        return await self._send(self._introspection_endpoint, form, accept=accept, attempts=2)

    async def send_exchange(self, request: TokenRequest) -> BoundedResponse:
        """Ask for a token for another audience.

        Raises:
            TemporarilyUnavailable: no answer, or one that is too late or too long.
        """
        return await self._send(self._token_endpoint, self._adapter.form(request), accept="application/json")

    async def exchange(self, request: TokenRequest) -> str:
        """Return the token for another audience, unverified.

        Raises:
            OAuthError: see `send_exchange` and `process_exchange`.
        """
        return process_exchange(await self.send_exchange(request), self._adapter)

    async def _send(
        self, url: str, form: dict[str, str], *, accept: str, attempts: int = 1
    ) -> BoundedResponse:
        try:
            # The wait for a place and all attempts together.
            async with asyncio.timeout(self._deadline_seconds), self._guards[url].attempt() as attempt:
                response = await self._until_connected(url, form, accept, attempts)
                attempt.failed = response.status >= 500
                return response
        except TimeoutError:
            host = httpx.URL(url).host
            raise TemporarilyUnavailable(reason=f"{host}: no answer in time") from None

    async def _until_connected(
        self, url: str, form: dict[str, str], accept: str, attempts: int
    ) -> BoundedResponse:
        while True:
            proof = self._prove(url)
            request = self._client.build_request(
                "POST", url, data=form | proof.form, headers={"accept": accept} | proof.headers
            )
            attempts -= 1
            try:
                return await send_bounded(
                    self._client, request, max_bytes=MAX_ANSWER_BYTES, deadline_seconds=self._deadline_seconds
                )
            except TemporarilyUnavailable as error:
                if attempts == 0 or not isinstance(error.__cause__, httpx.ConnectError):
                    raise
            # Not all replicas at once.
            await asyncio.sleep(MIN_PAUSE_SECONDS + secrets.randbelow(100) / 1000)


def process_introspection(response: BoundedResponse, media_type: str = MEDIA_TYPE_JWT) -> str | None:
    """Return the JWT, unverified, or `None` for an inactive token.

    Raises:
        TemporarilyUnavailable: the answer is neither.
    """
    if response.status == 204:
        return None
    if response.status == 200 and response.media_type == media_type:
        token = response.body.decode("ascii", "replace").strip()
        if is_compact_jws(token):
            return token
    elif response.status == 200 and _document(response).get("active") is False:
        return None
    raise _unexpected("introspection", response)


def process_json_introspection(response: BoundedResponse) -> dict[str, Any] | None:
    """Return what is said of an active token, or `None` for an inactive one (RFC 7662 §2.2).

    Raises:
        TemporarilyUnavailable: the answer is neither.
    """
    document = _document(response)
    active = document.get("active")
    if response.status != 200 or not isinstance(active, bool):
        raise _unexpected("introspection", response)
    return document if active else None


def process_exchange(response: BoundedResponse, adapter: Adapter) -> str:
    """Return the issued token, unverified.

    Raises:
        InvalidGrant: the subject token is dead, or its user must come again (`InteractionRequired`).
        InvalidRequest: perhaps that, perhaps our request was wrong.
        InvalidScope, InvalidTarget, AccessDenied: what was asked for is not granted.
        TemporarilyUnavailable: anything else.
    """
    if response.status == 200 and response.media_type == "application/json":
        try:
            token = adapter.issued_token(response.body)
        except ValueError as error:
            raise _unexpected("token exchange", response, str(error)) from None
        if is_compact_jws(token):
            return token
        raise _unexpected("token exchange", response, "a token that is not a JWT")
    # RFC 6749 §5.2 has 400 for all of these; some products have 403 for a refusal.
    if response.status in (400, 403):
        document = _document(response)
        if document.get("error") in _COME_AGAIN:
            raise InteractionRequired(demand_of(document))
        verdict = _VERDICTS.get(_error_code(response))
        if verdict is not None:
            raise verdict("The authorization server refused the exchange")
    raise _unexpected("token exchange", response)


def _unexpected(what: str, response: BoundedResponse, detail: str = "") -> TemporarilyUnavailable:
    code = _error_code(response)
    reason = f"{what} was answered with {response.status} {code or detail or response.media_type[:80]}"
    if response.status in (200, 400, 401, 403):
        # Nothing that passes by itself: wrong credentials, a wrong endpoint, a profile that does not fit.
        logger.error("the authorization server and this broker do not agree: %s", reason)
    return TemporarilyUnavailable(
        "The authorization server could not answer",
        reason=reason,
        retry_after_seconds=response.retry_after_seconds,
    )


def _error_code(response: BoundedResponse) -> str:
    """Return the `error` of an OAuth error response if it is a known one; others are not safe to log."""
    code = _document(response).get("error")
    return code if isinstance(code, str) and code in _KNOWN_CODES else ""


def _document(response: BoundedResponse) -> dict[str, Any]:
    if response.media_type != "application/json":
        return {}
    try:
        document: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
