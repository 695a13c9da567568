"""What the proxies in front of us say about clients, believed only if one of ours says it."""

import hashlib
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from starlette.types import Scope

from authcore.errors import InvalidRequest

CLIENT_CERT: Final = b"client-cert"
FORWARDED_FOR: Final = b"x-forwarded-for"


class TrustedProxies:
    """The addresses whose `Client-Cert` (RFC 9440) and `X-Forwarded-For` are not the client's invention."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Read the networks.

        Raises:
            ValueError: one is not an address or a network in CIDR notation.
        """
        self._networks = [ip_network(network) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def client_address(self, scope: Scope) -> str:
        """Return whom to count a request for: the peer, or the last hop that is not one of our proxies."""
        address = _peer(scope)
        if not self._trusts(address):
            return address
        hops = [hop.strip() for value in _values(scope, FORWARDED_FOR) for hop in value.split(",")]
        for hop in reversed(hops):
            if not self._trusts(hop):
                return hop[:45]
        return address

    def certificate(self, scope: Scope) -> str | None:
        """Return the SHA-256 thumbprint of the client's certificate, as `x5t#S256` has it (RFC 8705 §3.1).

        Raises:
            InvalidRequest: our proxy passed on more than one, so the client sent one of them.
        """
        if not self._trusts(_peer(scope)):
            return None
        values = _values(scope, CLIENT_CERT)
        if len(values) > 1:
            raise InvalidRequest("More than one Client-Cert header")
        der = _byte_sequence(values[0]) if values else None
        return None if der is None else urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def _peer(scope: Scope) -> str:
    client: tuple[str, int] | None = scope.get("client")
    return "" if client is None else client[0]


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    # A socket that listens on both families shows IPv4 peers in this form.
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _byte_sequence(value: str) -> bytes | None:
    """Return the octets of a structured field (RFC 9651 §3.3.5), `None` if it is malformed or empty."""
    value = value.strip()
    if len(value) < 3 or not (value.startswith(":") and value.endswith(":")):
        return None
    try:
        return b64decode(value[1:-1], validate=True) or None
    except ValueError:
        return None
