"""What an authorization server wants of the user before it grants more (RFC 9470, OIDC Core §5.5).

It comes from elsewhere and goes into a header: only what is well-formed and small is taken over.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

MAX_CLAIMS_BYTES: Final = 2048
MAX_ACR_VALUES: Final = 8
MAX_AGE_SECONDS: Final = 10 * 365 * 24 * 3600

_ACR_VALUE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class AuthenticationDemand:
    """Parameters for the next authorization request. Without any the user just has to come again."""

    claims: str | None = None
    """A claims request, as compact JSON in ASCII."""
    acr_values: str | None = None
    max_age: int | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is demanded."""
        return (self.claims, self.acr_values, self.max_age) != (None, None, None)

    def challenge(self) -> dict[str, str | None]:
        """Return the parameters of a challenge; claims in base64, as JSON has quotes and others do so."""
        claims = None if self.claims is None else b64encode(self.claims.encode("ascii")).decode("ascii")
        return {
            "acr_values": self.acr_values,
            "max_age": None if self.max_age is None else str(self.max_age),
            "claims": claims,
        }


def demand_of(document: Mapping[str, object]) -> AuthenticationDemand:
    """Return what an error response demands; a member that makes no sense is left out."""
    return AuthenticationDemand(
        _claims(document.get("claims")),
        _acr_values(document.get("acr_values")),
        _max_age(document.get("max_age")),
    )


def _claims(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > MAX_CLAIMS_BYTES:
        return None
    try:
        request: object = json.loads(value, parse_constant=_no_number)
        if not isinstance(request, dict):
            return None
        written = json.dumps(request, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return written if len(written) <= MAX_CLAIMS_BYTES else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _acr_values(value: object) -> str | None:
    values = value.split(" ") if isinstance(value, str) else []
    if not 1 <= len(values) <= MAX_ACR_VALUES or not all(map(_ACR_VALUE.fullmatch, values)):
        return None
    return " ".join(values)


def _max_age(value: object) -> int | None:
    # In a challenge it is text, in JSON a number (RFC 9470 §3).
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_AGE_SECONDS:
        return None
    return value
