"""DPoP: somebody shows that they hold the key their tokens are bound to (RFC 9449)."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from authcore.client_assertion import FirstUse
from authcore.clock import Clock
from authcore.errors import InvalidDPoPProof, InvalidToken, UseDPoPNonce
from authcore.jwks import PRIVATE_MEMBERS, fits, parse_key_set
from authcore.validator import is_compact_jws

ALGORITHMS: Final = ("ES256", "PS256", "RS256")
MAX_PROOF_LENGTH: Final = 8192
MAX_AGE_SECONDS: Final = 60
CLOCK_SKEW_SECONDS: Final = 30

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class _Registry(jws.JWSRegistry):
    # An RSA key within the header needs more than the library's 512 bytes.
    max_header_length = 4096


_REGISTRY: Final = _Registry(algorithms=list(ALGORITHMS), strict_check_header=False)


class Nonces(Protocol):
    """What a server gives out, to see that a proof was made for it and lately (RFC 9449 §8 and §9)."""

    def current(self) -> str:
        """Return what the next proof should carry."""
        ...

    def accepts(self, nonce: str) -> bool:
        """Tell whether it was given out lately."""
        ...


@dataclass(frozen=True, slots=True)
class ExpectedProof:
    """What a proof must be for."""

    method: str
    urls: frozenset[str]
    """The spellings of one URL, as clients know it; never what a request's `Host` says."""
    access_token: str | None = None
    """The token presented with the proof, at a resource (RFC 9449 §7)."""
    thumbprint: str | None = None
    """The key that token is bound to; `None` accepts any key."""


class DPoPProofs:
    """Checks proofs for one server's endpoints (RFC 9449 §4.3)."""

    def __init__(self, first_use: FirstUse, *, now: Clock, nonces: Nonces | None = None) -> None:
        self._first_use = first_use
        self._now = now
        self._nonces = nonces

    async def key_of(self, proofs: Sequence[str], expected: ExpectedProof) -> str:
        """Return the thumbprint of the key that the request proves possession of (RFC 7638).

        Args:
            proofs: the values of all `DPoP` headers.
            expected: what they must be for.

        Raises:
            InvalidDPoPProof: not one proof, or not a good one, or it was used before.
            UseDPoPNonce: it lacks a nonce that was given out lately.
            InvalidToken: it is good, but its key is not the one the token is bound to.
            TemporarilyUnavailable: nobody could say whether it was used before.
        """
        if len(proofs) != 1 or len(proofs[0]) > MAX_PROOF_LENGTH or not is_compact_jws(proofs[0]):
            raise InvalidDPoPProof("There must be one DPoP proof, a signed JWT")
        thumbprint, claims = _verified(proofs[0])
        _check_target(claims, expected)
        until = self._check_time(claims)
        if expected.thumbprint is not None and not secrets.compare_digest(expected.thumbprint, thumbprint):
            raise InvalidToken("The access token is bound to another key than the DPoP proof's")
        # Last, and with a digest of what the client chose: strangers must not fill the memory of replays.
        digest = hashlib.sha256(claims["jti"].encode("utf-8", "surrogatepass")).hexdigest()
        if not await self._first_use(f"dpop|{thumbprint}|{digest}", until):
            raise InvalidDPoPProof("The DPoP proof was used before")
        return thumbprint

    def _check_time(self, claims: Mapping[str, Any]) -> int:
        """Return until when the proof is good, if it is of now."""
        issued_at, token_id = claims.get("iat"), claims.get("jti")
        if type(issued_at) is not int or not isinstance(token_id, str) or not token_id:
            raise InvalidDPoPProof("The DPoP proof has no iat or no jti")
        if not -MAX_AGE_SECONDS <= issued_at - self._now() <= CLOCK_SKEW_SECONDS:
            raise InvalidDPoPProof("The DPoP proof is too old or from the future")
        if self._nonces is not None:
            nonce = claims.get("nonce")
            if not isinstance(nonce, str) or not self._nonces.accepts(nonce):
                raise UseDPoPNonce("The DPoP proof must carry the nonce of the DPoP-Nonce header")
        return issued_at + MAX_AGE_SECONDS + 1


def token_hash(access_token: str) -> str:
    """Return the `ath` of a proof that comes with this token (RFC 9449 §4.2)."""
    return urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=").decode()


def proof_target(url: str) -> str | None:
    """Return a URL as `htu` values are compared: normal, without query and fragment; `None` if it is none.

    Spec: RFC 9449 §4.3, RFC 3986 §6.2.2 and §6.2.3.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}{parts.path or '/'}"


def _check_target(claims: Mapping[str, Any], expected: ExpectedProof) -> None:
    url = claims.get("htu")
    target = proof_target(url) if isinstance(url, str) else None
    if claims.get("htm") != expected.method or target not in {proof_target(u) for u in expected.urls}:
        raise InvalidDPoPProof("The DPoP proof is for another request")
    if expected.access_token is not None:
        presented = claims.get("ath")
        if not isinstance(presented, str) or not secrets.compare_digest(
            presented.encode("utf-8", "surrogatepass"), token_hash(expected.access_token).encode()
        ):
            raise InvalidDPoPProof("The DPoP proof is for another access token")


def _verified(proof: str) -> tuple[str, Mapping[str, Any]]:
    try:
        header = jws.extract_compact(proof.encode("ascii"), registry=_REGISTRY).headers()
        alg = header.get("alg")
        if header.get("typ") != "dpop+jwt" or alg not in ALGORITHMS:
            raise InvalidDPoPProof("The DPoP proof is of another type or algorithm")
        key = _key(header.get("jwk"))
        if not fits(key, alg):
            raise InvalidDPoPProof("The DPoP proof's key does not fit its algorithm")
        claims = jwt.decode(proof, key, algorithms=[alg], registry=_REGISTRY).claims
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidDPoPProof("The DPoP proof is not valid", reason=type(error).__name__) from None
    return key.thumbprint(), claims


def _key(jwk: object) -> Key:
    if not isinstance(jwk, dict) or PRIVATE_MEMBERS & set(cast("dict[str, object]", jwk)):
        raise InvalidDPoPProof("The DPoP proof must hold a public key")
    (key,) = parse_key_set(json.dumps({"keys": [jwk]}).encode())
    return key
