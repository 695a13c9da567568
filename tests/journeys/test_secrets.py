"""No token where it does not belong: not in a log at DEBUG, not readable in Redis."""

import re

import pytest

from tests.support.redis_contents import opened
from tests.support.system import JANE, JOHN, System

JWT_HEADER = re.compile(r"eyJ[A-Za-z0-9_-]{8,}")
USABLE_PART = 16


def parts(token: str) -> set[str]:
    """What of a token must not be seen: any run of it long enough to be worth something."""
    return {
        piece[start : start + USABLE_PART]
        for piece in token.split(".")
        for start in range(0, len(piece) - USABLE_PART, USABLE_PART)
    }


async def used_tokens(system: System) -> list[str]:
    tokens: list[str] = []
    for email in (JOHN, JANE):
        token = await system.token(email)
        await system.call(token)
        phantom, exchanged = await system.phantom(token), await system.exchanged(token)
        # Refused ones are the likeliest to be written down.
        refused = [system.forge(phantom, aud="https://elsewhere.example"), exchanged, token[::-1]]
        for bad in refused:
            await system.call(bad)
        await system.stocks(phantom)
        # A server that speaks WebSocket logs an upgrade whole.
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "authorization": f"Bearer {token}"}
        addresses = system.stack.addresses
        for url in (addresses.mcp, addresses.broker, addresses.api, addresses.issuer):
            await system.http.get(url, params={"access_token": exchanged}, headers=upgrade)
        tokens += [token, phantom, exchanged, *refused]
    return tokens


@pytest.mark.requirement("token-secrecy")
async def test_no_token_and_no_code_is_in_any_log_at_debug(system: System) -> None:
    tokens = await used_tokens(system)
    assert system.codes
    for process in system.stack.processes.values():
        text = process.log.read_text()
        assert text, process.name
        assert not JWT_HEADER.search(text), process.name
        for secret in tokens + system.codes:
            assert not any(part in text for part in parts(secret)), process.name


@pytest.mark.requirement("token-secrecy")
async def test_a_dump_of_redis_holds_no_token(system: System) -> None:
    tokens = await used_tokens(system)
    with opened(system.stack.addresses.redis) as redis:
        text = redis.dump().decode("latin-1")
    assert "|phantom" in text
    assert not JWT_HEADER.search(text)
    for token in tokens:
        assert not any(part in text for part in parts(token))
