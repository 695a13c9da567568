"""One part away: what is known keeps working, what is not gets 503, and nothing is let through.

The gateway of these systems remembers nothing, so that every call shows what the broker and Redis do.
"""

import time

from demo.parts import AUTHSERVER, BROKER, REDIS, STOCKS
from tests.support.system import JOHN, REGION, System, symbols

BOUND_SECONDS = 5.0


async def test_while_the_authorization_server_is_away_known_tokens_work_and_new_ones_get_503(
    private_system: System,
) -> None:
    system = private_system
    known, fresh = await system.token(JOHN), await system.token(JOHN)
    assert symbols(await system.call(known)) == REGION[JOHN]
    await system.stack.stop(AUTHSERVER)
    assert symbols(await system.call(known)) == REGION[JOHN]
    for token in (fresh, "never-seen"):
        response = await system.call(token)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert "www-authenticate" not in response.headers
    await system.stack.start(AUTHSERVER)
    assert symbols(await system.call(fresh)) == REGION[JOHN]
    assert (await system.call("never-seen")).status_code == 401


async def test_while_redis_is_away_answers_come_in_bounded_time_and_it_recovers_by_itself(
    private_system: System,
) -> None:
    system = private_system
    known, fresh = await system.token(JOHN), await system.token(JOHN)
    assert symbols(await system.call(known)) == REGION[JOHN]
    await system.stack.stop(REDIS)
    began = time.monotonic()
    response = await system.call(fresh)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert time.monotonic() - began < BOUND_SECONDS
    assert (await system.call(known)).status_code == 503
    readiness = await system.http.get(system.stack.addresses.broker + "/readyz")
    assert (readiness.status_code, readiness.json()["signing keys"]) == (503, "ok")
    await system.stack.start(REDIS)
    assert symbols(await system.call(fresh)) == REGION[JOHN]
    assert symbols(await system.call(known)) == REGION[JOHN]


async def test_while_the_broker_is_away_nothing_new_passes_and_while_the_api_is_away_the_model_is_told(
    private_system: System,
) -> None:
    system = private_system
    token = await system.token(JOHN)
    await system.stack.stop(BROKER)
    assert (await system.call(token)).status_code == 503
    await system.stack.start(BROKER)
    await system.stack.stop(STOCKS)
    result = (await system.call(token)).json()["result"]
    assert result["isError"]
    assert "again" in result["content"][0]["text"]
    await system.stack.start(STOCKS)
    assert symbols(await system.call(token)) == REGION[JOHN]
