"""Callers that are Kubernetes workloads: a projected service-account token is the assertion (RFC 7523 §3).

The kubelet replaces such a token long before it expires, and its holder uses it again and again: it is not
good once, as other assertions are, but addressed to this broker and nobody else.
"""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final

import httpx

from authcore.client_assertion import FirstUse
from authcore.clock import Clock
from authcore.errors import InvalidClient, InvalidToken
from authcore.validator import KeySource, TokenProfile, TokenValidator

PREFIX: Final = "system:serviceaccount:"
ALGORITHMS: Final = frozenset({"ES256", "ES384", "PS256", "RS256"})
MAX_LIFETIME_SECONDS: Final = 24 * 3600
"""A projected token lives for an hour unless told otherwise; legacy ones for ever."""


class ServiceAccounts:
    """Knows which caller a service account is."""

    def __init__(
        self,
        issuer: str,
        keys: KeySource,
        *,
        audience: str,
        clients: Mapping[str, str],
        first_use: FirstUse,
        now: Clock,
    ) -> None:
        """Prepare.

        Args:
            issuer: the cluster, exactly as in the `iss` of its tokens.
            keys: what it signs with.
            audience: this broker's URL.
            clients: `system:serviceaccount:<namespace>:<name>` → client id.
            first_use: writes down that an account was here.
            now: the clock.
        """
        profile = TokenProfile(issuer=issuer, audience=frozenset({audience}), algorithms=ALGORITHMS)
        self._validator = TokenValidator(profile, keys, now=now)
        self._audience = frozenset({audience})
        self._clients = clients
        self._first_use = first_use
        self._now = now

    def client_of(self, subject: str | None) -> str | None:
        """Return the client that a claimed subject would be."""
        return None if subject is None else self._clients.get(subject)

    async def verify(self, assertion: str, subject: str) -> None:
        """Return if the token proves that the caller is this service account.

        Raises:
            InvalidClient: it does not.
            TemporarilyUnavailable: the cluster's keys could not be fetched, or Redis not be written to.
        """
        try:
            token = await self._validator.validate(assertion)
        except InvalidToken as error:
            raise InvalidClient("The client assertion is not acceptable", reason=error.reason) from None
        if token.subject != subject or token.audience != self._audience:
            # One that others accept as well could come from any of them.
            raise InvalidClient("The client assertion is not acceptable", reason="sub, or more than one aud")
        if token.expires_at > self._now() + MAX_LIFETIME_SECONDS:
            raise InvalidClient("The client assertion lives too long")
        # The first time or not: it matters that Redis takes it. A master that was cut off can be read, not
        # written to, and nobody may be served from it (docs/adr/0025).
        await self._first_use(f"|{subject}", self._now() + 1)


class BearerFromFile(httpx.Auth):
    """Sends what is in a file as the bearer token; read each time, since the kubelet replaces it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add the header."""
        try:
            token = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise httpx.RequestError(
                f"no token of our own: {type(error).__name__}", request=request
            ) from None
        request.headers["authorization"] = f"Bearer {token}"
        yield request


def clients_of(accounts: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Return service account → client id.

    Raises:
        ValueError: two clients name the same one.
    """
    clients: dict[str, str] = {}
    for client_id, names in accounts.items():
        for name in names:
            if clients.setdefault(name, client_id) != client_id:
                raise ValueError(f"{name} is two callers")
    return clients
