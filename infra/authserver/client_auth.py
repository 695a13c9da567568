"""Who is calling the token or introspection endpoint (RFC 6749 §2.3, RFC 7523 §3, OIDC Core §9)."""

import base64
import binascii
import hmac
from dataclasses import dataclass
from urllib.parse import unquote_plus

from starlette.requests import Request

from authcore.client_assertion import ClientAssertionVerifier, claimed_client
from authcore.clock import Clock
from authcore.errors import InvalidClient, InvalidRequest, OAuthError
from authcore.forms import Form
from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from authserver.client_directory import ClientDirectory
from authserver.clients import Client
from authserver.database import Database
from authserver.rate_limits import RateLimit, address_of
from authserver.secret_values import secret_hash
from authserver.settings import AuthMethod

_REFUSED = "Client authentication failed"
_NO_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class _Credentials:
    method: AuthMethod
    client_id: str
    proof: str = ""


class AssertionReplays:
    """The assertions and DPoP proofs that were used, for as long as they could be used again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first_use(self, assertion_id: str, until: int) -> bool:
        """Remember the assertion; return false if it is known already."""
        rows = await self._database.write(
            "INSERT INTO client_assertions (assertion_hash, expires_at) VALUES (?, ?)"
            " ON CONFLICT DO NOTHING RETURNING 1",
            # Its length is the client's choice, and so is what is in it.
            secret_hash(assertion_id),
            until,
        )
        return bool(rows)


class ClientAuthenticator:
    """Tells clients by the one method each is registered with."""

    def __init__(
        self,
        clients: ClientDirectory,
        replays: AssertionReplays,
        *,
        audience: frozenset[str],
        limit: RateLimit,
        now: Clock,
    ) -> None:
        self._limit = limit
        self._clients = clients
        self._assertions = ClientAssertionVerifier(audience, now=now, first_use=replays.first_use)

    async def authenticate(self, request: Request, form: Form) -> Client:
        """Return the client that sent this request.

        Raises:
            InvalidClient: unknown, wrongly authenticated, or by another method than its own.
            InvalidRequest: more than one method at once.
            TooManyRequests: by this client, or in vain from this address.
            TemporarilyUnavailable: its metadata document could not be fetched.
        """
        credentials = _credentials(request, form)
        try:
            client = await self._authenticated(credentials)
        except OAuthError:
            # Counted by address: a stranger must not use up what belongs to the client it names.
            self._limit.take(f"address|{address_of(request)}")
            raise
        self._limit.take(f"client|{client.client_id}")
        return client

    async def actor(self, client: Client, actor_token: str) -> str:
        """Return whom a client names as the actor: it signs that like an assertion about itself.

        Raises:
            InvalidRequest: not a fresh statement of this client, or about nobody it may name.
        """
        if client.keys is None or not client.actors:
            raise InvalidRequest("The client may name no actor: it is the actor itself")
        try:
            return await self._assertions.subject_of(
                actor_token, client.client_id, client.keys, among=client.actors
            )
        except InvalidClient as error:
            # RFC 8693 §2.2.2: the client is known, its actor token is not acceptable.
            raise InvalidRequest("The actor token is not acceptable", reason=error.reason) from None

    async def _authenticated(self, credentials: _Credentials) -> Client:
        client = await self._clients.find(credentials.client_id)
        if client is None or client.auth_method != credentials.method:
            raise InvalidClient(_REFUSED, reason="unknown client or another method")
        if credentials.method == "private_key_jwt":
            if client.keys is None:
                raise InvalidClient(_REFUSED, reason="no keys")
            await self._assertions.verify(credentials.proof, client.client_id, client.keys)
        elif credentials.method != "none" and not hmac.compare_digest(
            secret_hash(credentials.proof), client.secret_hash or _NO_HASH
        ):
            raise InvalidClient(_REFUSED, reason="wrong secret")
        return client


def _credentials(request: Request, form: Form) -> _Credentials:
    offered = [
        credentials
        for credentials in (_basic(request), _post(form), _assertion(form))
        if credentials is not None
    ]
    if len(offered) > 1:
        raise InvalidRequest("More than one way of client authentication")
    client_id = form.get("client_id")
    if not offered:
        if client_id is None:
            raise InvalidClient("Client authentication is required")
        return _Credentials("none", client_id)
    if client_id is not None and client_id != offered[0].client_id:
        raise InvalidClient(_REFUSED, reason="two client ids")
    return offered[0]


def uses_basic(request: Request) -> bool:
    """Tell whether the client tried HTTP Basic, so that a refusal must name that scheme (RFC 6749 §5.2)."""
    return request.headers.get("authorization", "").partition(" ")[0].lower() == "basic"


def _basic(request: Request) -> _Credentials | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    if not uses_basic(request):
        raise InvalidClient(_REFUSED, reason="not HTTP Basic")
    try:
        decoded = base64.b64decode(header.partition(" ")[2].strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise InvalidClient(_REFUSED, reason="malformed HTTP Basic") from None
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise InvalidClient(_REFUSED, reason="malformed HTTP Basic")
    # RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
    return _Credentials("client_secret_basic", unquote_plus(client_id), unquote_plus(secret))


def _post(form: Form) -> _Credentials | None:
    secret = form.get("client_secret")
    if secret is None:
        return None
    return _Credentials("client_secret_post", form.require("client_id"), secret)


def _assertion(form: Form) -> _Credentials | None:
    assertion = form.get("client_assertion")
    if assertion is None:
        if form.get("client_assertion_type") is not None:
            raise InvalidRequest("The parameter client_assertion is required")
        return None
    if form.get("client_assertion_type") != CLIENT_ASSERTION_JWT_BEARER:
        raise InvalidRequest("The client_assertion_type is not supported")
    # It may be left out beside the assertion (RFC 7521 §4.2). That both name one client is verified with it.
    client_id = form.get("client_id") or claimed_client(assertion)
    if client_id is None:
        raise InvalidClient("The client assertion is not acceptable", reason="malformed")
    return _Credentials("private_key_jwt", client_id, assertion)
