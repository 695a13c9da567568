"""The outbound client of the authorization server: each operation is sent, then processed.

Only two answers of introspection mean anything: a JWT, and a clear "inactive". Whatever else comes is trouble
at the other end, which is neither "active" nor "inactive".
"""

import asyncio
import json
import logging
import secrets
from typing import Any, Final, cast

import httpx

from authcore.client_assertion import ClientAssertionSigner
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
from token_broker.adapters.rfc8693 import TokenRequest, issued_token, request_form
from token_broker.endpoint_guard import EndpointGuard

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 60
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

_KNOWN_CODES: Final = frozenset(_VERDICTS) | {
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "server_error",
    "temporarily_unavailable",
}


class AuthorizationServer:
    """Sends requests, authenticated as the broker."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        signer: ClientAssertionSigner,
        *,
        issuer: str,
        introspection_endpoint: str,
        token_endpoint: str,
        deadline_seconds: float,
    ) -> None:
        self._client = client
        self._signer = signer
        self._issuer = issuer
        self._introspection_endpoint = introspection_endpoint
        self._token_endpoint = token_endpoint
        self._deadline_seconds = deadline_seconds
        self._guards = {url: EndpointGuard(url) for url in (introspection_endpoint, token_endpoint)}

    async def send_introspection(self, token: str) -> BoundedResponse:
        """Ask for the JWT behind a token (RFC 7662 §2.1).

        Raises:
            TemporarilyUnavailable: no answer, or one that is too late or too long.
        """
        form = {"token": token, "token_type_hint": "access_token"}
        # Asking twice changes nothing there; an exchange might.
        return await self._send(self._introspection_endpoint, form, accept=MEDIA_TYPE_JWT, attempts=2)

    async def send_exchange(self, request: TokenRequest) -> BoundedResponse:
        """Ask for a token exchange (RFC 8693 §2.1).

        Raises:
            TemporarilyUnavailable: no answer, or one that is too late or too long.
        """
        return await self._send(self._token_endpoint, request_form(request), accept="application/json")

    async def _send(
        self, url: str, form: dict[str, str], *, accept: str, attempts: int = 1
    ) -> BoundedResponse:
        try:
            # The client's timeouts are for each read: a server that drips would never meet them.
            async with asyncio.timeout(self._deadline_seconds), self._guards[url].attempt() as attempt:
                response = await self._until_connected(url, form, accept, attempts)
                attempt.failed = response.status >= 500
                return response
        except TimeoutError:
            raise TemporarilyUnavailable(reason=f"{url}: no answer in time") from None

    async def _until_connected(
        self, url: str, form: dict[str, str], accept: str, attempts: int
    ) -> BoundedResponse:
        while True:
            request = self._client.build_request(
                "POST", url, data=form | self._signer.parameters(self._issuer), headers={"accept": accept}
            )
            attempts -= 1
            try:
                return await send_bounded(self._client, request, max_bytes=MAX_ANSWER_BYTES)
            except TemporarilyUnavailable as error:
                if attempts == 0 or not isinstance(error.__cause__, httpx.ConnectError):
                    raise
            # Not all replicas at once.
            await asyncio.sleep(MIN_PAUSE_SECONDS + secrets.randbelow(100) / 1000)


def process_introspection(response: BoundedResponse) -> str | None:
    """Return the JWT, unverified, or `None` for an inactive token.

    Raises:
        TemporarilyUnavailable: the answer is neither.
    """
    if response.status == 204:
        return None
    if response.status == 200 and response.media_type == MEDIA_TYPE_JWT:
        token = response.body.decode("ascii", "replace").strip()
        if is_compact_jws(token):
            return token
    elif response.status == 200 and _document(response).get("active") is False:
        return None
    raise _unexpected("introspection", response)


def process_exchange(response: BoundedResponse) -> str:
    """Return the issued token, unverified.

    Raises:
        InvalidGrant: the subject token is dead.
        InvalidRequest: perhaps that, perhaps our request was wrong.
        InvalidScope, InvalidTarget, AccessDenied: what was asked for is not granted.
        TemporarilyUnavailable: anything else.
    """
    if response.status == 200 and response.media_type == "application/json":
        try:
            token = issued_token(response.body)
        except ValueError as error:
            raise _unexpected("token exchange", response, str(error)) from None
        if is_compact_jws(token):
            return token
    verdict = _VERDICTS.get(_error_code(response))
    if response.status == 400 and verdict is not None:
        raise verdict("The authorization server refused the exchange")
    raise _unexpected("token exchange", response)


def _unexpected(what: str, response: BoundedResponse, detail: str = "") -> TemporarilyUnavailable:
    code = _error_code(response)
    reason = f"{what} was answered with {response.status} {code or detail or response.media_type[:80]}"
    if response.status in (200, 400, 401, 403):
        # Nothing that passes by itself: wrong credentials, a wrong endpoint, a profile that does not fit.
        logger.error("the authorization server and this broker do not agree: %s", reason)
    retry_after = response.headers.get("retry-after", "")
    seconds = (
        int(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 5 else 5
    )
    return TemporarilyUnavailable(
        "The authorization server could not answer",
        reason=reason,
        retry_after_seconds=min(max(seconds, 1), MAX_RETRY_AFTER_SECONDS),
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
