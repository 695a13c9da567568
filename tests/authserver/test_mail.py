import asyncio
import logging
import re
import smtplib
import socket
from collections.abc import AsyncGenerator
from email.message import EmailMessage
from pathlib import Path

import pytest

from authcore.errors import TemporarilyUnavailable
from authserver.mail_server import HOST, MAX_MAIL_BYTES
from authserver.mailer import Mailer
from tests.authserver.browser import Page
from tests.authserver.server import JANE, JOHN, AuthServer, serving

NOBODY = "nobody@demo.example"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def server(tmp_path: Path, port: int) -> AsyncGenerator[AuthServer]:
    async with serving(tmp_path, smtp_port=port) as running:
        yield running


async def deliver(port: int, content: bytes, *recipients: str) -> None:
    def send() -> None:
        with smtplib.SMTP(HOST, port, local_hostname="localhost", timeout=5) as smtp:
            smtp.sendmail("program@demo.example", recipients, content)

    await asyncio.to_thread(send)


async def ask(server: AuthServer, email: str) -> Page:
    client = await server.register()
    browser = server.browser()
    return await browser.submit(await server.authorize(browser, client["client_id"]), email=email)


async def test_the_one_time_password_travels_by_smtp(
    server: AuthServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mail.log")
    await ask(server, JOHN)
    commands = "\n".join(record.getMessage() for record in caplog.records if record.name == "mail.log")
    assert f"rcpt to:<{JOHN}>" in commands.lower()
    (mail,) = await server.mails(JOHN)
    assert mail["subject"] == f"Your one-time password is {mail['code']}"


@pytest.mark.attack("RFC 6819 §5.1.4.2", "find out by time who has an account")
async def test_known_and_unknown_addresses_take_the_same_conversation(
    server: AuthServer, caplog: pytest.LogCaptureFixture
) -> None:
    conversations: list[list[str]] = []
    for email in (JOHN, NOBODY):
        caplog.clear()
        caplog.set_level(logging.DEBUG, "mail.log")
        await ask(server, email)
        said = [
            # The body's length depends on nothing but the address' own; compare the steps, not the digits.
            re.sub(r"size=\d+|\d{3,}|nobody|john\.doe", "…", record.getMessage())
            for record in caplog.records
            if record.name == "mail.log" and "readline" not in record.getMessage()
        ]
        conversations.append(said)
    assert conversations[0] == conversations[1]
    assert [mail["recipient"] for mail in await server.mails()] == [JOHN]


async def test_no_log_holds_passwords_or_keys_even_at_debug(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(tmp_path) as server:
        await ask(server, JOHN)
        (mail,) = await server.mails()
    assert mail["code"] not in caplog.text
    assert not re.search(r'"d": ?"', caplog.text)


async def test_other_programs_may_send_to_users_and_to_nobody_else(server: AuthServer, port: int) -> None:
    mail = EmailMessage()
    mail["Subject"] = "Grüße"
    mail.set_content("Zwölf Boxkämpfer")
    await deliver(port, bytes(mail), JOHN, NOBODY, JANE.upper())
    mails = await server.mails()
    assert {mail["recipient"] for mail in mails} == {JOHN, JANE}
    assert {(mail["subject"], mail["text"], mail["code"]) for mail in mails} == {
        ("Grüße", "Zwölf Boxkämpfer", "")
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header",
        b"Subject: =?x?Q?=ff?=\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: image/png\r\n\r\nx\r\n--x--",
        b"Subject: <script>alert(1)</script>\r\n\r\n<img src=x onerror=alert(1)>",
    ],
)
@pytest.mark.attack("RFC 6749 §10.14", "mail HTML to the inbox page")
async def test_whatever_arrives_is_shown_as_text_or_not_at_all(
    server: AuthServer, port: int, content: bytes
) -> None:
    await deliver(port, content, JOHN)
    assert len(await server.mails()) == 1
    page = await server.browser().open("/inbox")
    assert "<script>" not in page.text
    assert "<img" not in page.text


async def test_a_mail_that_is_too_long_is_refused(server: AuthServer, port: int) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        await deliver(port, b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" * MAX_MAIL_BYTES, JOHN)
    assert refused.value.smtp_code == 552
    assert await server.mails() == []


@pytest.mark.parametrize(
    "email",
    [
        "a<b@demo.example",
        "a,b@demo.example",
        '"a"@demo.example',
        "a@b@demo.example",
        "a@-x.example",
        "a@x..y",
    ],
)
@pytest.mark.attack("RFC 5321 §7.1", "have a one-time password sent to a second address")
async def test_an_address_that_can_be_read_in_two_ways_is_not_sent_to(server: AuthServer, email: str) -> None:
    assert "Please enter an email address" in (await ask(server, email)).text


async def test_mail_that_cannot_be_sent_is_trouble_of_the_moment_and_quotes_nothing(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    mailer = Mailer(port, now=lambda: 0)
    for email in (JOHN, NOBODY):
        with pytest.raises(TemporarilyUnavailable):
            await mailer.send(email, subject="Your one-time password is 123456", text="123456")
    assert "123456" not in caplog.text
    assert "ConnectionRefusedError" in caplog.text


async def test_a_stop_does_not_wait_for_who_keeps_a_connection_open(tmp_path: Path, port: int) -> None:
    async with serving(tmp_path, smtp_port=port):
        reader, writer = await asyncio.open_connection(HOST, port)
        assert (await reader.readline()).startswith(b"220 ")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
