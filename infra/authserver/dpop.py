"""DPoP: a client shows that it holds the key its tokens are bound to (RFC 9449)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key
from starlette.requests import Request

from authcore.client_assertion import FirstUse
from authcore.clock import Clock
from authcore.errors import OAuthError
from authcore.jwks import fits, parse_key_set
from authcore.validator import is_compact_jws
from authserver.client_metadata import PRIVATE_MEMBERS

ALGORITHMS: Final = ("ES256", "PS256", "RS256")
MAX_PROOF_LENGTH: Final = 8192
MAX_AGE_SECONDS: Final = 60
CLOCK_SKEW_SECONDS: Final = 30


class _Registry(jws.JWSRegistry):
    # An RSA key within the header needs more than the library's 512 bytes.
    max_header_length = 4096


_REGISTRY: Final = _Registry(algorithms=list(ALGORITHMS), strict_check_header=False)


class InvalidDPoPProof(OAuthError):
    """RFC 9449 §5."""

    error = "invalid_dpop_proof"


class DPoPProofs:
    """Checks proofs for our own endpoints."""

    def __init__(self, first_use: FirstUse, *, now: Clock) -> None:
        self._first_use = first_use
        self._now = now

    async def key_of(self, request: Request, url: str) -> str | None:
        """Return the thumbprint of the key that the request proves possession of, `None` without a proof.

        Args:
            request: with the header `DPoP`.
            url: what the proof must be for, as clients know it.

        Raises:
            InvalidDPoPProof: RFC 9449 §4.3, or the proof was used before.
        """
        proofs = request.headers.getlist("dpop")
        if not proofs:
            return None
        if len(proofs) > 1 or len(proofs[0]) > MAX_PROOF_LENGTH or not is_compact_jws(proofs[0]):
            raise InvalidDPoPProof("There must be one DPoP proof, a signed JWT")
        thumbprint, claims = _verified(proofs[0])
        if claims.get("htm") != request.method or claims.get("htu") != url:
            raise InvalidDPoPProof("The DPoP proof is for another request")
        issued_at, token_id = claims.get("iat"), claims.get("jti")
        if not isinstance(issued_at, int) or not isinstance(token_id, str) or not token_id:
            raise InvalidDPoPProof("The DPoP proof has no iat or no jti")
        if not -MAX_AGE_SECONDS <= issued_at - self._now() <= CLOCK_SKEW_SECONDS:
            raise InvalidDPoPProof("The DPoP proof is too old or from the future")
        # Hashed, as its length is the client's choice.
        digest = hashlib.sha256(token_id.encode()).hexdigest()
        if not await self._first_use(f"dpop|{thumbprint}|{digest}", issued_at + MAX_AGE_SECONDS + 1):
            raise InvalidDPoPProof("The DPoP proof was used before")
        return thumbprint


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
