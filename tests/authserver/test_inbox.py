import pytest

from tests.authserver.server import JANE, JOHN, AuthServer


async def send(server: AuthServer, email: str) -> None:
    client = await server.register()
    browser = server.browser()
    await browser.submit(await server.authorize(browser, client["client_id"]), email=email)


async def test_mails_are_shown_newest_first_and_can_be_narrowed(server: AuthServer) -> None:
    for email in (JOHN, JANE, JOHN):
        await send(server, email)
        server.clock.seconds += 60
    assert [mail["recipient"] for mail in await server.mails()] == [JOHN, JANE, JOHN]
    assert [mail["id"] for mail in await server.mails(JOHN)] == [3, 1]
    page = await server.browser().open("/inbox")
    assert page.text.index("1 min ago") < page.text.index("2 min ago") < page.text.index("3 min ago")
    assert '<noscript><meta http-equiv="refresh"' in page.text
    only = await server.browser().open("/inbox", to="Jane.Test@demo.example")
    assert JOHN not in only.text


async def test_an_empty_inbox_says_so(server: AuthServer) -> None:
    assert "No mail yet" in (await server.browser().open("/inbox")).text


@pytest.mark.attack("RFC 9110 §7.2", "read one-time passwords by DNS rebinding")
async def test_another_name_for_this_machine_does_not_open_the_inbox(server: AuthServer) -> None:
    for path in ("/inbox", "/inbox.json"):
        for host in ("rebound.evil.example", "rebound.evil.example:8090", "", "127.0.0.1.evil.example"):
            assert (await server.http.get(path, headers={"host": host})).status_code == 403
        for host in ("127.0.0.1:8090", "localhost:8090", "[::1]:8090"):
            assert (await server.http.get(path, headers={"host": host})).status_code == 200
