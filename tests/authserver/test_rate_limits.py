"""How often one may ask."""

from pathlib import Path

import pytest

from authserver.rate_limits import MAX_BUCKETS, RateLimit, TooManyRequests
from tests.authserver.server import ISSUER, AuthServer, serving
from tests.support.issuer import Clock, ec_key


def test_a_minutes_requests_may_come_at_once_and_then_flow_back() -> None:
    clock = Clock()
    limit = RateLimit(6, now=clock)
    for _ in range(6):
        limit.take("a")
    with pytest.raises(TooManyRequests) as refused:
        limit.take("a")
    assert refused.value.retry_after_seconds == 10
    limit.take("b")
    clock.seconds += 10
    limit.take("a")
    with pytest.raises(TooManyRequests):
        limit.take("a")


def test_with_a_limit_of_zero_nothing_is_counted_and_a_clock_that_goes_back_gives_nothing() -> None:
    clock = Clock()
    for _ in range(1000):
        RateLimit(0, now=clock).take("a")
    limit = RateLimit(1, now=clock)
    limit.take("a")
    clock.seconds -= 3600
    with pytest.raises(TooManyRequests):
        limit.take("a")


def test_only_so_many_callers_are_remembered() -> None:
    limit = RateLimit(1, now=Clock())
    for name in range(MAX_BUCKETS + 1):
        limit.take(str(name))
    limit.take("0")
    with pytest.raises(TooManyRequests):
        limit.take(str(MAX_BUCKETS))


async def test_registrations_are_limited_for_each_address(tmp_path: Path) -> None:
    async with serving(tmp_path, registrations_per_minute=1) as server:
        await server.register()
        response = await server.http.post(f"{ISSUER}/register", json={})
        assert (response.status_code, response.headers["retry-after"]) == (429, "60")
        assert response.json()["error"] == "temporarily_unavailable"
        server.clock.seconds += 60
        await server.register()


async def test_logins_are_limited_for_each_address(tmp_path: Path) -> None:
    async with serving(tmp_path, logins_per_minute=2) as server:
        client_id = (await server.register())["client_id"]
        browser = server.browser()
        page = await server.authorize(browser, client_id)
        await server.log_in(browser, page)
        again = await server.authorize(server.browser(), client_id)
        assert (await server.http.post(f"{again.action}", data=again.fields)).status_code == 429


async def test_a_stranger_cannot_use_up_what_belongs_to_a_client(tmp_path: Path) -> None:
    async with serving(tmp_path, client_requests_per_minute=2) as server:
        forged = [await introspect(server, key="another") for _ in range(3)]
        assert forged == [401, 401, 429]
        assert [await introspect(server) for _ in range(3)] == [200, 200, 429]


async def introspect(server: AuthServer, key: str | None = None) -> int:
    proof = server.assertion(key=None if key is None else ec_key(key))
    return (await server.post("introspect", {"token": "x", **proof})).status_code
