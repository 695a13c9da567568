"""Loopback ports for one run, held so that a second run beside it takes others."""

import secrets
import socket
import sys
from typing import Final

HOST: Final = "127.0.0.1"
FIRST: Final = 20_000
LAST: Final = 29_999


class PortTakenError(Exception):
    """A port that was asked for by number is in use."""


class Ports:
    """The ports of one run."""

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []

    def exactly(self, port: int) -> int:
        """Return this port.

        Raises:
            PortTakenError: it is in use, or held by another run.
        """
        if not self._claim(port):
            raise PortTakenError(f"port {port} is in use")
        return port

    def preferably(self, port: int) -> int:
        """Return this port if nobody has it, else any other."""
        return port if self._claim(port) else self.any()

    def any(self) -> int:
        """Return a port that nobody has.

        Raises:
            PortTakenError: a thousand were tried.
        """
        # Below the range from which the kernel takes ports for outgoing connections: those come and go.
        for _ in range(1000):
            port = FIRST + secrets.randbelow(LAST - FIRST + 1)
            if self._claim(port):
                return port
        raise PortTakenError(f"no free port between {FIRST} and {LAST}")

    def release(self) -> None:
        """Give all ports back."""
        while self._claims:
            self._claims.pop().close()

    def _claim(self, port: int) -> bool:
        if not is_free(port):
            return False
        # Between our look and the service's bind another run must not choose the same. The abstract namespace
        # leaves no file behind and ends with the process; only Linux has it.
        if sys.platform == "linux":
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0delegant-demo-port-{port}")
            except OSError:
                claim.close()
                return False
            self._claims.append(claim)
        return True


def is_free(port: int) -> bool:
    """Tell whether a service could listen on the port now, connections of an earlier one notwithstanding."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True
