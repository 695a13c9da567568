"""Client of the token broker (RFC 7662, RFC 8693); what it said is kept in the process for a moment."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, cast

import httpx
from pydantic import BaseModel, Field, ValidationError

from authcore.authentication_demand import demand_of
from authcore.claims import format_scope
from authcore.clock import Clock
from authcore.errors import (
    InsufficientClaims,
    InsufficientUserAuthentication,
    InvalidToken,
    TemporarilyUnavailable,
)
from authcore.http_client import BoundedResponse, send_bounded
from authcore.oauth2_types import (
    DELEGATION_TAG_HEADER,
    GRANT_TOKEN_EXCHANGE,
    MEDIA_TYPE_JWT,
    TOKEN_TYPE_ACCESS_TOKEN,
)
from authcore.single_flight import SingleFlight
from mcp_gateway.broker_proof import BrokerProof
from mcp_gateway.memory import TokenMemory

EXPIRY_MARGIN_SECONDS = 5
"""A cached token is not used in its last seconds: it has to live until the API has read it."""

OVER: Final = "The access token is expired, revoked or unknown"

_ERROR_CODE = re.compile(r"[a-z_]{1,40}")

ExchangeKey = tuple[bytes, str, str]
"""Fingerprint of the subject token, audience, scopes."""


class _Exchanged(BaseModel):
    access_token: str = Field(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")
    token_type: Literal["Bearer"]
    expires_in: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A JWT of the broker's, not verified here, and whose end is its end."""

    jwt: str = field(repr=False)
    delegation: str | None
    """The name under which the delegation's end is announced; `None` if the broker did not say."""


class Broker:
    """Asks the broker, once for everybody who wants the same."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        proof: BrokerProof,
        *,
        now: Clock,
        exchanged: TokenMemory[ExchangeKey, Answer],
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._proof = proof
        self._now = now
        self._exchanged = exchanged
        self._exchanging = SingleFlight[tuple[ExchangeKey, bool], Answer]()

    async def introspect(self, token: str) -> Answer:
        """Return the JWT behind an opaque token. It is not verified here.

        Raises:
            InvalidToken: the token is not active.
            InsufficientUserAuthentication: its user has to authenticate again first.
            TemporarilyUnavailable: nobody could say.
        """
        form = {"token": token, "token_type_hint": "access_token"}
        response = await self._post("/introspect", form, headers={"accept": MEDIA_TYPE_JWT})
        if response.status == 204:
            raise InvalidToken(OVER)
        _raise_if_over(response)
        if response.status != 200 or response.media_type != MEDIA_TYPE_JWT:
            _unexpected("introspection", response)
        try:
            return Answer(response.body.decode("ascii"), _delegation(response))
        except UnicodeDecodeError:
            _unexpected("introspection", response)

    async def exchange(
        self, token: str, *, audience: str, scope: frozenset[str], fresh: bool = False
    ) -> Answer:
        """Return a JWT for `audience` that acts for the token's user, within `scope`.

        With `fresh` neither we nor the broker remember it: `audience` has refused what we did.

        Raises:
            InvalidToken: the token is no longer active.
            InsufficientUserAuthentication: its user has to authenticate again first.
            TemporarilyUnavailable: nobody could say.
        """
        wanted = format_scope(scope)
        key = (fingerprint(token), audience, wanted)
        cached = None if fresh else self._exchanged.get(key)
        if cached is not None:
            return cached
        caching = {"cache-control": "no-cache"} if fresh else {}

        async def ask() -> Answer:
            asked = self._exchanged.ticket()
            response = await self._post("/token", _exchange_form(token, audience, wanted), headers=caching)
            document = _process_exchange(response)
            answer = Answer(document.access_token, _delegation(response))
            expires_at = self._now() + document.expires_in - EXPIRY_MARGIN_SECONDS
            self._exchanged.put(key, answer, expires_at=expires_at, delegation=answer.delegation, asked=asked)
            return answer

        return await self._exchanging.run((key, fresh), ask)

    async def _post(self, path: str, form: dict[str, str], *, headers: Mapping[str, str]) -> BoundedResponse:
        request = self._client.build_request(
            "POST",
            self._url + path,
            data=form | self._proof.parameters(self._url),
            headers={"accept": "application/json", **headers},
        )
        return await send_bounded(self._client, request)


def fingerprint(token: str) -> bytes:
    """Return the SHA-256 of a token: what stands for it in memory."""
    return hashlib.sha256(token.encode()).digest()


def _delegation(response: BoundedResponse) -> str | None:
    return response.headers.get(DELEGATION_TAG_HEADER) or None


def _exchange_form(token: str, audience: str, scope: str) -> dict[str, str]:
    return {
        "grant_type": GRANT_TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
        "audience": audience,
        "scope": scope,
    }


def _process_exchange(response: BoundedResponse) -> _Exchanged:
    _raise_if_over(response)
    if response.status != 200:
        _unexpected("token exchange", response)
    try:
        return _Exchanged.model_validate_json(response.body)
    except ValidationError:
        _unexpected("token exchange", response)


def _raise_if_over(response: BoundedResponse) -> None:
    """Return unless the broker says that the token is good for nothing, or not until its user comes."""
    if response.status != 400 or _error_code(response) not in ("invalid_grant", "invalid_token"):
        return
    demand = demand_of(_members(response))
    if not demand:
        raise InvalidToken(OVER)
    # Who asks with claims alone speaks the dialect in which that has a code of its own.
    only_claims = demand.acr_values is None and demand.max_age is None
    raise InsufficientClaims(demand) if only_claims else InsufficientUserAuthentication(demand)


def _error_code(response: BoundedResponse) -> str | None:
    code = _members(response).get("error")
    # Only a code of the usual form goes into a log.
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else None


def _members(response: BoundedResponse) -> Mapping[str, object]:
    try:
        document: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", document) if isinstance(document, dict) else {}


def _unexpected(what: str, response: BoundedResponse) -> NoReturn:
    reason = f"{what} at the broker answered {response.status} {_error_code(response) or response.media_type}"
    # A cause chain would carry the response, and with it perhaps a token, into a log.
    raise TemporarilyUnavailable(reason=reason, retry_after_seconds=response.retry_after_seconds) from None
