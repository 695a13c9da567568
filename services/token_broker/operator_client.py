"""An operator's side of the broker: HTTP requests with client assertions, for the command line."""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httpx
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.errors import TemporarilyUnavailable
from authcore.http_client import BoundedResponse, pooled_client, send_bounded
from token_broker.settings import private_jwk

PAGE = 200

_CODE = re.compile(r"[a-z_]{1,40}")


class OperatorSettings(BaseSettings):
    """`OPERATOR_*`: who we are at which broker."""

    model_config = SettingsConfigDict(env_prefix="OPERATOR_", frozen=True, extra="ignore")

    broker_url: str = Field(description="the broker")
    audience: str = Field(default="", description="the broker's BROKER_URL, if it is not the same")
    client_id: str = Field(default="operator", description="who we are there")
    key_file: Path = Field(description="file with our private JWK")
    ca_file: Path | None = Field(default=None, description="PEM of authorities trusted besides the system's")

    @field_validator("broker_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http(s) URL")
        return value.rstrip("/")

    @field_validator("key_file")
    @classmethod
    def _holds_a_key(cls, value: Path) -> Path:
        _signer("", value)
        return value


class Refused(Exception):
    """The broker said no; the text says what it said, and what would help."""


class OperatorClient:
    """Asks one broker."""

    def __init__(self, client: httpx.AsyncClient, settings: OperatorSettings) -> None:
        self._client = client
        self._settings = settings
        self._signer = _signer(settings.client_id, settings.key_file)
        self._audience = settings.audience or settings.broker_url

    async def delegations(self, query: Mapping[str, str], *, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return so many delegations at most, and whether there are more.

        Raises:
            Refused: the broker said no.
            TemporarilyUnavailable: it could not be reached.
        """
        found: list[dict[str, Any]] = []
        parameters = {**query, "limit": str(min(limit, PAGE))}
        while True:
            document = _document(await self._send("GET", "/delegations", parameters))
            found += cast("list[dict[str, Any]]", document["delegations"])
            if len(found) > limit:
                return found[:limit], True
            if "next" not in document or len(found) == limit:
                return found, "next" in document
            parameters["cursor"] = str(document["next"])

    async def delegation(self, name: str) -> dict[str, Any]:
        """Return one delegation.

        Raises:
            Refused: there is none, or the broker said no.
            TemporarilyUnavailable: it could not be reached.
        """
        return _document(await self._send("GET", "/delegations/" + quote(name, safe="")))

    async def end(self, name: str) -> None:
        """End a delegation.

        Raises:
            Refused: the broker said no.
            TemporarilyUnavailable: it could not be reached, or could not do it.
        """
        await self._send("DELETE", "/delegations/" + quote(name, safe=""))

    async def _send(self, method: str, path: str, query: Mapping[str, str] | None = None) -> BoundedResponse:
        assertion = self._signer.assertion(self._settings.client_id, self._audience)
        request = self._client.build_request(
            method,
            self._settings.broker_url + path,
            params=dict(query) if query else None,
            headers={"authorization": "Bearer " + assertion, "accept": "application/json"},
        )
        response = await send_bounded(self._client, request)
        if response.status not in (200, 204):
            raise Refused(_explained(response))
        return response


@asynccontextmanager
async def operator_client(settings: OperatorSettings) -> AsyncGenerator[OperatorClient]:
    """Lend a client."""
    async with pooled_client(timeout_seconds=10.0, max_connections=4, ca_file=settings.ca_file) as client:
        yield OperatorClient(client, settings)


def _signer(client_id: str, key_file: Path) -> ClientAssertionSigner:
    try:
        text = key_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {type(error).__name__}") from None
    return ClientAssertionSigner(client_id, private_jwk(SecretStr(text)), now=system_clock)


_HELP = {
    401: "does the broker know this client id and key, and is the URL its BROKER_URL (else --audience)?",
    403: "this client has no such right: see `operator` in BROKER_CALLERS",
    404: "it has ended or expired, or never was; see `delegations list`",
    503: "try again in a moment",
}


def _explained(response: BoundedResponse) -> str:
    try:
        document = _document(response)
    except TemporarilyUnavailable:
        document = {}
    error, description = document.get("error"), document.get("error_description")
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else "no reason given"
    parts = [f"the broker answered {response.status} {code}"]
    if isinstance(description, str):
        parts.append(printable(description[:200]))
    if response.status in _HELP:
        parts.append(_HELP[response.status])
    return ": ".join(parts)


def _document(response: BoundedResponse) -> dict[str, Any]:
    try:
        document: object = json.loads(response.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise TemporarilyUnavailable(reason="what answered is no token broker")
    return cast("dict[str, Any]", document)


def printable(text: str) -> str:
    """Return the text without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
