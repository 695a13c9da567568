"""DPoP proofs as clients make them (RFC 9449 §4.2), good and bad."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from authcore.clock import Clock
from authcore.dpop import token_hash
from tests.support.issuer import ec_key


@dataclass(frozen=True, slots=True)
class DPoPKey:
    """A client's key."""

    now: Clock
    key: ECKey | RSAKey = field(default_factory=lambda: ec_key("agent"))

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint()

    def proof(self, method: str, url: str, /, token: str | None = None, **changes: Any) -> str:
        """Sign a proof; a change to `None` leaves the claim out. `typ`, `alg` and `jwk` are of the header."""
        header: dict[str, Any] = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        claims: dict[str, Any] = {
            "htm": method,
            "htu": url,
            "iat": self.now(),
            "jti": secrets.token_urlsafe(16),
            "ath": None if token is None else token_hash(token),
        }
        for name, value in changes.items():
            (header if name in header else claims)[name] = value
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, present, self.key, algorithms=["ES256", "PS256", "RS256"])
