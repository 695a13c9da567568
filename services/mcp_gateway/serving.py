"""A request is served for as long as somebody waits for it, and no longer than its deadline."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DeadlineExceeded(Exception):
    """The application was stopped: it took too long. Nothing was answered yet."""


async def read_body(receive: Receive) -> bytes:
    """Return the whole body.

    Raises:
        ClientDisconnect: it broke off.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


class Serving:
    """One request whose body was read: hands it on, and listens whether the client is still there.

    The MCP transport does not listen while a tool runs, so nobody would stop what nobody waits for.
    """

    def __init__(self, body: bytes, receive: Receive, send: Send) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._begun = False
        self._done = False

    async def run(self, application: ASGIApp, scope: Scope, *, deadline_seconds: float) -> None:
        """Return when the application has answered, or was stopped because the client has gone.

        Raises:
            DeadlineExceeded: it was stopped because time was over, before it had begun to answer.
        """
        limit = asyncio.timeout(deadline_seconds)
        listening = asyncio.create_task(self._listen(limit))
        try:
            async with limit:
                await application(scope, self._hand_over, self._answer)
        except TimeoutError:
            if not limit.expired():
                raise
            if not (self._gone.is_set() or self._begun):
                raise DeadlineExceeded from None
        finally:
            listening.cancel()

    async def _listen(self, limit: asyncio.Timeout) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        if not self._done:
            limit.reschedule(asyncio.get_running_loop().time())

    async def _hand_over(self) -> Message:
        if self._body is None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _answer(self, message: Message) -> None:
        self._begun = True
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # After the last word the server reports a disconnect, whether there was one or not.
            self._done = True
        await self._send(message)
