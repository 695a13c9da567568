"""How often what was asked of this server, for those who must show that a cache works."""

from collections import Counter
from typing import Final

AUTHORIZATION: Final = "authorization"
PUSHED_AUTHORIZATION: Final = "pushed_authorization"
REGISTRATION: Final = "registration"
AUTHORIZATION_CODE: Final = "authorization_code"
CLIENT_CREDENTIALS: Final = "client_credentials"
JWT_BEARER: Final = "jwt_bearer"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105  a name
TOKEN_EXCHANGE: Final = "token_exchange"  # noqa: S105  a name
INTROSPECTION: Final = "introspection"
REVOCATION: Final = "revocation"

_ALL: Final = (
    AUTHORIZATION,
    PUSHED_AUTHORIZATION,
    REGISTRATION,
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    JWT_BEARER,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
    INTROSPECTION,
    REVOCATION,
)


class Counters:
    """Requests since the process started, refused ones included."""

    def __init__(self) -> None:
        self._counts = Counter[str](dict.fromkeys(_ALL, 0))

    def count(self, name: str) -> None:
        """Count one request."""
        self._counts[name] += 1

    def document(self) -> dict[str, int]:
        """Return all counts."""
        return dict(self._counts)
