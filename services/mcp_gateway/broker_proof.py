"""What the gateway proves itself with at the broker (RFC 7521 §4.2)."""

from pathlib import Path
from typing import Final, Protocol

from authcore.clock import Clock
from authcore.errors import TemporarilyUnavailable
from authcore.oauth2_types import CLIENT_ASSERTION_JWT_BEARER
from authcore.validator import is_compact_jws

MAX_TOKEN_BYTES: Final = 8192
"""The broker reads no longer assertion."""


class BrokerProof(Protocol):
    """Makes the form parameters that say who we are."""

    def parameters(self, audience: str, /) -> dict[str, str]:
        """Return those of one request to `audience`.

        Raises:
            TemporarilyUnavailable: there are none now.
        """
        ...


class ProjectedToken:
    """Proves with a Kubernetes service-account token, in a file that the kubelet renews before it expires."""

    def __init__(self, path: Path, *, now: Clock) -> None:
        """Read the file.

        Raises:
            ValueError: there is no token in it.
        """
        self._path = path
        self._now = now
        self._read_at = now()
        self._token = read_token(path)

    def parameters(self, _audience: str, /) -> dict[str, str]:
        """Return the token; the file is read again once in a second at most.

        Without a `client_id`: the broker knows which of its callers the account is.
        """
        if self._now() != self._read_at:
            try:
                self._token = read_token(self._path)
            except ValueError as error:
                raise TemporarilyUnavailable(reason=f"our token for the broker: {error}") from None
            self._read_at = self._now()
        return {"client_assertion_type": CLIENT_ASSERTION_JWT_BEARER, "client_assertion": self._token}


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises:
        ValueError: there is none; the text says why, and nothing of what is there.
    """
    try:
        with path.open("rb") as file:
            token = file.read(MAX_TOKEN_BYTES + 1).strip()
    except OSError as error:
        raise ValueError(f"the file cannot be read: {type(error).__name__}") from None
    if not token:
        raise ValueError("the file is empty")
    if len(token) > MAX_TOKEN_BYTES or not is_compact_jws(text := token.decode("latin-1")):
        raise ValueError("the file holds no service-account token")
    return text
