"""Sends mail by SMTP (RFC 5321, RFC 5322)."""

import asyncio
import logging
import smtplib
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from authcore.clock import Clock
from authcore.errors import TemporarilyUnavailable
from authserver.mail_server import HOST

TIMEOUT_SECONDS: Final = 5
SENDER: Final = Address("Development authorization server", "no-reply", "localhost")

logger = logging.getLogger(__name__)


class Mailer:
    """Sends to the inbox server, whoever the recipient is: who waits for it learns nothing from the time."""

    def __init__(self, port: int, *, now: Clock) -> None:
        self._port = port
        self._now = now

    async def send(self, recipient: str, *, subject: str, text: str) -> None:
        """Return when the mail was accepted.

        Raises:
            TemporarilyUnavailable: it was not.
        """
        message = EmailMessage()
        message["From"] = SENDER
        message["To"] = Address(addr_spec=recipient)
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.fromtimestamp(self._now(), UTC))
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message, recipient)
        except (smtplib.SMTPException, OSError) as error:
            logger.warning("a mail could not be sent: %s", type(error).__name__)
            raise TemporarilyUnavailable("smtp") from None

    def _send(self, message: EmailMessage, recipient: str) -> None:
        # Without a name of its own smtplib would ask DNS for this machine's.
        with smtplib.SMTP(HOST, self._port, local_hostname="localhost", timeout=TIMEOUT_SECONDS) as smtp:
            smtp.send_message(message, to_addrs=[recipient])
