"""Request heads are small, arrive soon and mean one thing; uvicorn's fast parser sees to none of it."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
"""Of request line and headers while they arrive. Applications refuse a quarter of it politely."""
HEAD_TIMEOUT_SECONDS: Final = 20.0
"""For the head of a request, from its first byte, and for the first byte of a new connection."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class BoundedHeadProtocol(HttpToolsProtocol):
    """Closes connections whose request head is endless or never comes to an end.

    httptools gathers a head in memory, however long it is and however long it takes. Nobody has said who they
    are by then, so one stranger could fill the memory and stop the loop.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's own parameters
        super().__init__(*args, **kwargs)
        self._head_open = True
        self._head_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request soon."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the head has grown too long."""
        was_open = self._head_open
        super().data_received(data)
        if not self._head_open:
            return
        if was_open:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Open a head."""
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a value without whitespace around it, which the parser leaves at its end (RFC 9110 §5.5)."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Close the head."""
        self._head_open = False
        self._head_bytes = 0
        self._head_arrived()
        super().on_headers_complete()

    def _await_head(self) -> None:
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self.transport.close)

    def _head_arrived(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
