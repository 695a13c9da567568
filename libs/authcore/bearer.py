"""Reading a bearer token from a request (RFC 6750 §2.1)."""

import re
from collections.abc import Iterable

from authcore.errors import InvalidRequest, InvalidToken, MissingCredentials

MAX_BEARER_BYTES = 8192

_B64TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token of the one `Authorization` header.

    Args:
        headers: as in an ASGI scope: names in lower case.

    Raises:
        MissingCredentials: no such header, or another scheme.
        InvalidRequest: more than one such header.
        InvalidToken: not of the form of a bearer token, or over `MAX_BEARER_BYTES`.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise MissingCredentials("A bearer token is required")
    if len(values) > 1:
        raise InvalidRequest("More than one Authorization header")
    scheme, _, token = values[0].strip().partition(b" ")
    if scheme.lower() != b"bearer":
        raise MissingCredentials("A bearer token is required")
    token = token.strip()
    if len(token) > MAX_BEARER_BYTES or not _B64TOKEN.fullmatch(token):
        raise InvalidToken("The access token is malformed")
    return token.decode("ascii")
