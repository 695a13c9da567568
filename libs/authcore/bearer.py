"""Reading the access token of a request (RFC 6750 §2.1, RFC 9449 §7.1)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from authcore.errors import InvalidRequest, InvalidToken, MissingCredentials

MAX_BEARER_BYTES = 8192

Scheme = Literal["bearer", "dpop"]
_SCHEMES: Final[dict[bytes, Scheme]] = {b"bearer": "bearer", b"dpop": "dpop"}

_B64TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """An access token as it came, and by which scheme: what the scheme promises is not checked here."""

    scheme: Scheme
    token: str = field(repr=False)


def presented_token(headers: Iterable[tuple[bytes, bytes]]) -> PresentedToken:
    """Return the token of the one `Authorization` header.

    Args:
        headers: as in an ASGI scope: names in lower case.

    Raises:
        MissingCredentials: no such header, or another scheme.
        InvalidRequest: more than one such header.
        InvalidToken: not of the form of an access token, or over `MAX_BEARER_BYTES`.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise MissingCredentials("An access token is required")
    if len(values) > 1:
        raise InvalidRequest("More than one Authorization header")
    name, _, token = values[0].strip().partition(b" ")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        raise MissingCredentials("An access token is required")
    token = token.strip()
    if len(token) > MAX_BEARER_BYTES or not _B64TOKEN.fullmatch(token):
        raise InvalidToken("The access token is malformed")
    return PresentedToken(scheme, token.decode("ascii"))


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the bearer token of the one `Authorization` header.

    Raises:
        MissingCredentials: no such header, or another scheme.
        InvalidRequest: more than one such header.
        InvalidToken: not of the form of a bearer token, or over `MAX_BEARER_BYTES`.
    """
    presented = presented_token(headers)
    if presented.scheme != "bearer":
        raise MissingCredentials("A bearer token is required")
    return presented.token
