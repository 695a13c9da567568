"""Whoever has all of Redis, and even the sealing key, has no token."""

import asyncio
import re

import pytest

from authcore.key_ring import parse_ring
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import Start, soon
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from tests.token_broker.test_revocation import end
from token_broker.sealing import Place, Sealer, UnopenableValue
from token_broker.settings import Settings

JWT_HEADER = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}")
USABLE_PART = 16


def parts(token: str) -> set[bytes]:
    """Every run of a token that is long enough to be worth something."""
    return {
        piece[start : start + USABLE_PART].encode()
        for piece in token.split(".")
        for start in range(0, len(piece) - USABLE_PART + 1, USABLE_PART)
    }


async def test_a_dump_at_any_time_holds_no_token_and_nothing_that_opens_without_one(
    start: Start, settings: Settings, server: FakeAuthorizationServer, redis: RedisContents, token: str
) -> None:
    one, other = await start(), await start()
    living, ended, dead, flying = (f"{token}{name}" for name in ("living", "ended", "dead", "flying"))
    for name in (living, ended, flying):
        server.knows(name, delegationId=name[-6:])
    assert (await one.exchange(living)).status_code == 200
    assert (await one.exchange(ended)).status_code == 200
    assert (await end(other, ended[-6:])).status_code == 204
    # Refused twice: by the authorization server, and from the memory of tokens that are not active.
    assert [(await one.introspect(dead)).status_code for _ in range(2)] == [204, 204]
    assert (await one.introspect(flying)).status_code == 200
    server.asked.clear()
    server.may_answer.clear()
    calls = [asyncio.create_task(replica.exchange(flying)) for replica in (one, other)]
    await soon(server.asked)
    dumps = [redis.dump()]
    server.may_answer.set()
    assert {response.status_code for response in await asyncio.gather(*calls)} == {200}
    dumps.append(redis.dump())

    # All that the broker ever keeps is there to be looked at.
    for kept in (b"|phantom", b"{flights}:", b"delegations", b":revoked", b"{p:", b"{j:", b"outcome"):
        assert any(kept in dump for dump in dumps), kept
    assertions = (form["client_assertion"] for form in server.forms)
    secrets = [living, ended, dead, flying, *server.jwts, *assertions]
    for dump in dumps:
        assert not JWT_HEADER.search(dump)
        for secret in secrets:
            assert not any(part in dump for part in parts(secret))

    sealer = Sealer(parse_ring(settings.sealing_key.get_secret_value()))
    guesses = {"", *(word.decode("latin-1") for word in re.split(rb"[\n|:{}]", dumps[1]))}
    opened = 0
    for key in redis.delegations():
        for name, value in redis.sealed(key).items():
            place = Place(key, name)
            for guess in guesses:
                with pytest.raises(UnopenableValue):
                    sealer.open(value, token=guess, place=place)
            for holder in (living, flying):
                try:
                    opened += sealer.open(value, token=holder, place=place).plaintext in server.jwts
                except UnopenableValue:
                    continue
    # Whoever presents the token opens it: the phantom and the exchanged token of each.
    assert opened == 4
