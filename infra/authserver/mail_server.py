"""An SMTP server on loopback that delivers into the inbox, and nowhere else (RFC 5321)."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Final
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, Envelope, Session

from authcore.clock import Clock
from authserver.inbox import Inbox
from authserver.users import Users, normal_email

HOST: Final = "127.0.0.1"
MAX_MAIL_BYTES: Final = 64 * 1024
MAX_RECIPIENTS: Final = 10
IDLE_SECONDS: Final = 30

_CODE = re.compile(r"\b[0-9]{6}\b")
# aiosmtpd writes every line of a mail into its log at DEBUG, the one-time passwords among them.
_LIBRARY_LOG: Final = "mail.log"


class _Delivery:
    """What aiosmtpd asks, by its names for the SMTP commands."""

    def __init__(self, inbox: Inbox, users: Users, now: Clock) -> None:
        self._inbox = inbox
        self._users = users
        self._now = now

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Take every address: to refuse one would tell who is known here."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Put the mail into the inbox of each recipient who is a user."""
        content = envelope.content
        mail = message_from_bytes(
            content if isinstance(content, bytes) else b"", EmailMessage, policy=default
        )
        subject, text = str(mail["subject"] or ""), _text(mail)
        code = _CODE.search(subject)
        for recipient in map(normal_email, envelope.rcpt_tos):
            await self._inbox.keep(
                recipient,
                subject=subject,
                text=text,
                code="" if code is None else code[0],
                known=self._users.find(recipient) is not None,
                now=self._now(),
            )
        return "250 OK"


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    try:
        return "" if part is None else str(part.get_content()).strip()
    except (LookupError, UnicodeError, ValueError):
        return "(this mail cannot be read)"


@asynccontextmanager
async def serving_mail(inbox: Inbox, users: Users, *, port: int, now: Clock) -> AsyncGenerator[int]:
    """Serve SMTP; yield the port it listens on, which is any free one if `port` is 0."""
    logging.getLogger(_LIBRARY_LOG).setLevel(logging.WARNING)
    loop = asyncio.get_running_loop()
    connections = WeakSet[SMTP]()

    def connection() -> SMTP:
        protocol = SMTP(
            _Delivery(inbox, users, now),
            data_size_limit=MAX_MAIL_BYTES,
            hostname="localhost",
            ident="development inbox",
            timeout=IDLE_SECONDS,
            loop=loop,
        )
        connections.add(protocol)
        return protocol

    server = await loop.create_server(connection, HOST, port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for open_connection in connections:
            if open_connection.transport is not None:
                open_connection.transport.close()
        await server.wait_closed()
