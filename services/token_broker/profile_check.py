"""Does a live authorization server fit a profile?

Nothing is changed there, and no token is needed: garbage has to be refused in the right way.
"""

import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

import httpx
from joserfc.jws import extract_compact

from authcore.clock import Clock
from authcore.errors import InvalidGrant, InvalidRequest, InvalidTarget, OAuthError
from authcore.http_client import BoundedResponse, send_bounded
from authcore.jwks import JwksClient, fits, parse_key_set
from authcore.oauth2_types import (
    GRANT_JWT_BEARER,
    GRANT_TOKEN_EXCHANGE,
    MEDIA_TYPE_INTROSPECTION_JWT,
    MEDIA_TYPE_JWT,
)
from token_broker.adapters.token_request import TokenRequest
from token_broker.authorization_server import (
    process_introspection,
    process_json_introspection,
)
from token_broker.profiles import Profile
from token_broker.settings import Settings
from token_broker.upstream import Upstream

GARBAGE_JWT: Final = "eyJhbGciOiJub25lIn0.e30."


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    fits: bool | None
    """`None`: it could not be told from outside."""
    what: str


class NotFitting(Exception):
    """The server is not as the profile says; the message says how."""


class Unknown(Exception):
    """It cannot be told from outside."""


Check = Callable[[], Awaitable[str]]
"""Returns what fits."""


class ProfileCheck:
    """Asks one server."""

    def __init__(
        self, settings: Settings, profile: Profile, client: httpx.AsyncClient, *, now: Clock
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._client = client
        jwks = JwksClient(client, settings.jwks_uri, now=now)
        self._server = Upstream(settings, profile, client, jwks, now=now).server

    async def findings(self) -> AsyncGenerator[Finding]:
        """Yield what fits and what does not, in the order in which to repair it."""
        checks: list[Check] = [self._metadata, self._keys]
        if self._profile.introspection.asks:
            checks.append(self._introspection)
        checks.append(self._exchange)
        for check in checks:
            name = check.__name__.strip("_")
            try:
                yield Finding(True, f"{name}: {await check()}")
            except Unknown as reason:
                yield Finding(None, f"{name}: {reason}")
            except (NotFitting, OAuthError) as reason:
                yield Finding(False, f"{name}: {reason}")

    async def _metadata(self) -> str:
        """RFC 8414 §3 and OpenID Connect Discovery, compared with the settings and the profile."""
        document = await self._published()
        expected = {
            "issuer": self._settings.issuer,
            "jwks_uri": self._settings.jwks_uri,
            "token_endpoint": self._settings.token_endpoint,
            "introspection_endpoint": self._settings.introspection_endpoint,
        }
        for name, value in expected.items():
            if value and name in document and document[name] != value:
                raise NotFitting(f"{name} is published as {document[name]!r}, not as {value!r}")
        self._offers(document, "token_endpoint_auth_methods_supported", self._profile.client.authentication)
        self._offers(document, "grant_types_supported", self._grant_type)
        return "issuer, endpoints, client authentication and grant type are as published"

    async def _published(self) -> dict[str, Any]:
        parts = urlsplit(self._settings.issuer)
        path = parts.path.rstrip("/")
        for well_known in (
            f"/.well-known/oauth-authorization-server{path}",
            f"{path}/.well-known/openid-configuration",
        ):
            url = urlunsplit((parts.scheme, parts.netloc, well_known, "", ""))
            response = await self._get(url)
            if response.status == 200:
                return _object(response.body)
        raise Unknown("nothing is published; endpoints cannot be compared")

    def _offers(self, document: dict[str, Any], member: str, wanted: str) -> None:
        offered: object = document.get(member)
        if isinstance(offered, list) and wanted not in cast("list[object]", offered):
            raise NotFitting(f"{wanted} is not among {member}")

    @property
    def _grant_type(self) -> str:
        return GRANT_TOKEN_EXCHANGE if self._profile.exchange.adapter == "rfc8693" else GRANT_JWT_BEARER

    async def _keys(self) -> str:
        """The keys that tokens will be verified with."""
        response = await self._get(self._settings.jwks_uri)
        try:
            keys = parse_key_set(response.body)
        except ValueError as error:
            raise NotFitting(f"{self._settings.jwks_uri}: {error}") from None
        algorithms = self._profile.tokens.algorithms
        usable = sorted({alg for alg in algorithms for key in keys if fits(key, alg)})
        if not usable:
            raise NotFitting(f"no key for any of {', '.join(sorted(algorithms))}")
        return f"there are keys for {', '.join(usable)}"

    async def _introspection(self) -> str:
        """Garbage must be called inactive, which also shows that we are authenticated."""
        mode = self._profile.introspection.mode
        garbage = GARBAGE_JWT if self._profile.tokens.subject == "jwt" else secrets.token_urlsafe(32)
        accept, process = {
            "phantom_204": (MEDIA_TYPE_JWT, process_introspection),
            "json_jwt_field": (self._profile.introspection.accept, process_json_introspection),
            "rfc9701": (MEDIA_TYPE_INTROSPECTION_JWT, _statement_or_inactive),
        }.get(mode, ("application/json", process_json_introspection))
        response = await self._server.send_introspection(garbage, accept=accept)
        if process(response) is not None:
            raise NotFitting("garbage is called active")
        return "we are authenticated, and an unknown token is called inactive"

    async def _exchange(self) -> str:
        """Garbage must be refused as garbage: a refusal of the client or of the grant type is another."""
        caller = next(iter(self._settings.callers.values()))
        audience, scope = min(caller.audiences, default=caller.resource), caller.scopes
        garbage = GARBAGE_JWT if self._profile.tokens.subject == "jwt" else secrets.token_urlsafe(32)
        if self._profile.exchange.adapter == "assertion_7523":
            raise Unknown("not tried: an assertion of ours is believed, whoever it names")
        try:
            await self._server.exchange(TokenRequest(garbage, audience, scope, "nobody"))
        except (InvalidGrant, InvalidRequest) as refused:
            return f"the grant type is ours to use, and a dead subject token is refused as {refused.error}"
        except InvalidTarget:
            raise NotFitting(f"{audience} cannot be asked for: see `targets` of the profile") from None
        raise NotFitting("garbage was exchanged for a token")

    async def _get(self, url: str) -> BoundedResponse:
        request = self._client.build_request("GET", url, headers={"accept": "application/json"})
        return await send_bounded(self._client, request)


def _statement_or_inactive(response: BoundedResponse) -> str | None:
    """Return nothing for a signed `active: false`; its signature is checked when it matters."""
    statement = process_introspection(response, MEDIA_TYPE_INTROSPECTION_JWT)
    if statement is None:
        return None
    said = _object(extract_compact(statement.encode()).payload or b"").get("token_introspection")
    return None if said == {"active": False} else statement


def _object(body: bytes) -> dict[str, Any]:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise NotFitting("what is published is not a JSON object")
    return cast("dict[str, Any]", document)
