"""The keys an issuer signs with (RFC 7517), fetched rarely and kept while the issuer is away."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key

from authcore.clock import Clock
from authcore.errors import TemporarilyUnavailable, UnknownKey
from authcore.http_client import send_bounded
from authcore.single_flight import SingleFlight

logger = logging.getLogger(__name__)

MAX_JWKS_BYTES = 64 * 1024
FETCH_DEADLINE_SECONDS = 5.0
MAX_JWKS_KEYS = 32
MIN_RSA_BITS = 2048

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JWK that nobody but its owner should have (RFC 7518 §6)."""

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True, slots=True)
class JwksPolicy:
    """How fresh keys must be. All in seconds."""

    max_age_seconds: int = 300
    """A set older than this is used once more, while a new one is fetched."""
    max_stale_seconds: int = 24 * 3600
    """A set older than this is not used at all, even if the issuer is down."""
    unknown_kid_cooldown_seconds: int = 10
    """Unknown key ids cause at most one fetch in this time, whoever sends them."""
    failure_cooldown_seconds: int = 2
    """A failed fetch is not repeated for this long."""


@dataclass(frozen=True, slots=True)
class _KeySet:
    keys: tuple[Key, ...]
    fetched_at: int


class JwksClient:
    """Finds the key for a token's header.

    A set that cannot be fetched, is empty, oversized or malformed never replaces a good one.
    """

    def __init__(
        self, client: httpx.AsyncClient, jwks_uri: str, *, now: Clock, policy: JwksPolicy | None = None
    ) -> None:
        self._client = client
        self._uri = jwks_uri
        self._now = now
        self._policy = policy or JwksPolicy()
        self._current: _KeySet | None = None
        self._last_attempt: int | None = None
        self._last_failed = False
        self._fetching = SingleFlight[str, None]()

    async def key_for(self, kid: str | None, alg: str) -> Key:
        """Return the public key with this id that fits the algorithm.

        Without a `kid` the set must leave no choice.

        Raises:
            UnknownKey: the issuer has no such key.
            TemporarilyUnavailable: the keys could not be fetched, so nothing can be said of the token.
        """
        current = await self._fresh()
        key = _find(current.keys, kid, alg)
        if key is None and self._may_ask_again():
            await self._refresh()
            # A failed fetch may have hidden the key: that is our trouble, not the token's.
            if self._last_failed:
                raise TemporarilyUnavailable(reason="signing keys could not be refreshed")
            current = await self._fresh()
            key = _find(current.keys, kid, alg)
        if key is None:
            raise UnknownKey("The token is signed with an unknown key")
        return key

    async def check(self) -> None:
        """Return if keys are at hand.

        Raises:
            TemporarilyUnavailable: there are none, and they cannot be fetched.
        """
        await self._fresh()

    async def _fresh(self) -> _KeySet:
        usable = self._usable_set()
        if not self._failed_just_now():
            if usable is None:
                await self._refresh()
                usable = self._usable_set()
            elif self._now() - usable.fetched_at >= self._policy.max_age_seconds:
                # Beside the request, not before it: an issuer that hangs must not hold up known keys.
                self._fetching.start(self._uri, self._fetch)
        if usable is None:
            raise TemporarilyUnavailable(reason="the issuer's signing keys are not available")
        return usable

    def _usable_set(self) -> _KeySet | None:
        current = self._current
        if current is None or self._now() - current.fetched_at > self._policy.max_stale_seconds:
            return None
        return current

    def _failed_just_now(self) -> bool:
        return (
            self._last_failed
            and self._last_attempt is not None
            and self._now() - self._last_attempt < self._policy.failure_cooldown_seconds
        )

    def _may_ask_again(self) -> bool:
        return (
            self._last_attempt is None
            or self._now() - self._last_attempt >= self._policy.unknown_kid_cooldown_seconds
        )

    async def _refresh(self) -> None:
        await self._fetching.run(self._uri, self._fetch)

    async def _fetch(self) -> None:
        self._last_attempt = self._now()
        try:
            request = self._client.build_request("GET", self._uri, headers={"accept": "application/json"})
            response = await send_bounded(
                self._client, request, max_bytes=MAX_JWKS_BYTES, deadline_seconds=FETCH_DEADLINE_SECONDS
            )
            if response.status != 200:
                raise TemporarilyUnavailable(reason=f"JWKS answered {response.status}")
            keys = parse_key_set(response.body)
        except (TemporarilyUnavailable, ValueError) as error:
            self._last_failed = True
            logger.warning("signing keys of %s could not be fetched: %s", self._uri, error)
            return
        self._last_failed = False
        self._current = _KeySet(keys, self._now())


def parse_key_set(document: bytes) -> tuple[Key, ...]:
    """Return the usable public signature keys of a JWK Set.

    Keys of unknown type, for encryption, too weak or malformed are left out (RFC 7517 §5).

    Raises:
        ValueError: not a JWK Set, no usable key in it, or more than `MAX_JWKS_KEYS`.
    """
    try:
        parsed: object = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(parsed, dict):
        raise ValueError("not a JWK Set")
    entries = cast("dict[str, object]", parsed).get("keys")
    if not isinstance(entries, list):
        raise ValueError("not a JWK Set")
    listed = cast("list[object]", entries)
    if len(listed) > MAX_JWKS_KEYS:
        raise ValueError(f"more than {MAX_JWKS_KEYS} keys")
    keys = tuple(key for key in map(_usable, listed) if key is not None)
    if not keys:
        raise ValueError("no usable key")
    return keys


def _usable(entry: object) -> Key | None:
    if not isinstance(entry, dict):
        return None
    members = cast("Mapping[str, Any]", entry)
    if members.get("use", "sig") != "sig" or members.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    try:
        # A private or symmetric member in a published set is dropped with the rest we do not need.
        key = import_key({name: members[name] for name in members if name in _PUBLIC_MEMBERS})
        if isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError):
        return None
    return key


_PUBLIC_MEMBERS = frozenset({"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"})


def _find(keys: tuple[Key, ...], kid: str | None, alg: str) -> Key | None:
    fitting = [key for key in keys if fits(key, alg)]
    if kid is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.kid == kid), None)


def fits(key: Key, alg: str) -> bool:
    """Tell whether the key may verify this algorithm: by type, curve and its own `alg`."""
    if key.alg is not None and key.alg != alg:
        return False
    if alg in _CURVES:
        return isinstance(key, ECKey) and key.get("crv") == _CURVES[alg]
    if alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        return isinstance(key, RSAKey)
    return alg in ("EdDSA", "Ed25519") and isinstance(key, OKPKey) and key.get("crv") == "Ed25519"
