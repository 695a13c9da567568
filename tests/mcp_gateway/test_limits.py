"""How often agents may call: limits shared by replicas over a real Redis."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from mcp_gateway.limits import Limit
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import Gateway, running
from tests.support.issuer import Clock
from tests.support.messages import call_message
from tests.support.redis_contents import RedisContents
from tests.support.redis_server import RedisServer

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
TOOL = "fetch-stock-prices"


@asynccontextmanager
async def replicas(
    settings: Settings, clock: Clock, *limits: str, count: int = 1, **changes: Any
) -> AsyncGenerator[list[Gateway]]:
    limited = settings.model_copy(update={"limits": frozenset(limits)} | changes)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(limited, clock)) for _ in range(count)]


async def statuses(gateways: list[Gateway], calls: int, **changes: Any) -> list[int]:
    """Send calls to one gateway after the other."""
    return [
        (await gateways[number % len(gateways)].post(LIST, **changes)).status_code for number in range(calls)
    ]


def retry_after(response: httpx.Response) -> int:
    return int(response.headers["retry-after"])


@pytest.mark.requirement("rate-limits")
@pytest.mark.parametrize(
    ("limit", "violated"), [("delegation 5/hour", "delegation-3600s"), ("client 5/hour", "client-3600s")]
)
async def test_the_calls_of_all_replicas_count_together(
    settings: Settings, clock: Clock, redis_url: str, limit: str, violated: str
) -> None:
    url = SecretStr(redis_url)
    async with replicas(settings, clock, limit, count=2, redis_url=url) as gateways:
        assert await statuses(gateways, 8) == 5 * [200] + 3 * [429]
        response = await gateways[0].post(LIST)
        assert 700 <= retry_after(response) <= 720
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["violated-policies"] == [violated]
        assert response.headers["ratelimit-policy"] == f'"{violated}";q=5;w=3600'
        assert response.headers["ratelimit"].startswith(f'"{violated}";r=0;t=')


@pytest.mark.requirement("rate-limits")
async def test_one_delegation_does_not_use_up_what_is_anothers_and_one_client_what_is_anothers(
    settings: Settings, clock: Clock
) -> None:
    async with replicas(settings, clock, "delegation 3/hour", "client 5/hour") as (gateway,):
        assert await statuses([gateway], 4) == 3 * [200] + [429]
        # Both users let the same agent in.
        assert await statuses([gateway], 3, token="jane") == 2 * [200] + [429]
        gateway.network.broker.tokens["other"] = {"client_id": "agent-2", "delegationId": "d-other"}
        assert (await gateway.post(LIST, token="other")).status_code == 200


@pytest.mark.requirement("rate-limits")
async def test_a_tool_has_a_limit_of_its_own_which_the_body_decides(settings: Settings, clock: Clock) -> None:
    async with replicas(settings, clock, f"tool:{TOOL} 2/hour", "delegation 100/hour") as (gateway,):
        innocent = {"mcp-method": "tools/list", "mcp-name": "innocent"}
        for expected in (200, 200, 429):
            response = await gateway.post(call_message(TOOL), headers=innocent)
            assert response.status_code == expected
        assert response.json()["violated-policies"] == [f"{TOOL}-3600s"]
        assert len(gateway.network.api_requests) == 2
        assert (await gateway.post(LIST)).status_code == 200


async def test_an_answer_says_what_is_left(settings: Settings, clock: Clock) -> None:
    async with replicas(settings, clock, "delegation 10/hour", f"tool:{TOOL} 3/hour") as (gateway,):
        await gateway.post(LIST)
        response = await gateway.post(call_message(TOOL))
        assert (
            response.headers["ratelimit-policy"]
            == f'"delegation-3600s";q=10;w=3600, "{TOOL}-3600s";q=3;w=3600'
        )
        assert response.headers["ratelimit"] == f'"delegation-3600s";r=8;t=720, "{TOOL}-3600s";r=2;t=1200'


async def test_malformed_messages_and_forbidden_calls_count_as_well(settings: Settings, clock: Clock) -> None:
    async with replicas(settings, clock, "delegation 3/hour") as (gateway,):
        assert (await gateway.post(b"{", token="nobody")).status_code == 400
        assert (await gateway.call(TOOL, token="nobody")).status_code == 403
        assert (await gateway.post(LIST, token="nobody")).status_code == 200
        assert (await gateway.post(b"{", token="nobody")).status_code == 429


async def test_without_limits_nothing_is_counted_and_nothing_said(
    settings: Settings, clock: Clock, redis_url: str, redis: RedisContents
) -> None:
    async with replicas(settings, clock, redis_url=SecretStr(redis_url)) as (gateway,):
        response = await gateway.post(LIST)
        assert "ratelimit" not in response.headers
        assert redis.matching("limit:*") == []


async def test_redis_is_told_neither_token_nor_delegation_and_forgets_by_itself(
    settings: Settings, clock: Clock, redis_url: str, redis: RedisContents
) -> None:
    async with replicas(settings, clock, "delegation 5/hour", redis_url=SecretStr(redis_url)) as (gateway,):
        assert (await gateway.post(LIST)).status_code == 200
    (name,) = redis.matching("limit:*")
    assert "john" not in name
    assert 0 < redis.ttl(name) <= 720


@pytest.mark.parametrize(("policy", "status"), [("local", 200), ("refuse", 503)])
async def test_while_redis_is_away_configuration_decides(
    settings: Settings, clock: Clock, own_redis: RedisServer, policy: str, status: int
) -> None:
    url = SecretStr(own_redis.url)
    async with replicas(settings, clock, "delegation 3/hour", redis_url=url, limits_without_redis=policy) as (
        gateway,
    ):
        assert (await gateway.post(LIST)).status_code == 200
        own_redis.stop()
        response = await gateway.post(LIST)
        assert response.status_code == status
        if policy == "refuse":
            assert retry_after(response) > 0
        else:
            # From here on this replica counts by itself, and still counts.
            assert await statuses([gateway], 3) == [200, 200, 429]


@pytest.mark.requirement("rate-limits")
async def test_a_flood_of_bad_tokens_ends_at_the_gateway_and_known_agents_pass(
    settings: Settings, clock: Clock
) -> None:
    async with replicas(settings, clock, refused_tokens_per_minute=3) as (gateway,):
        assert await statuses([gateway], 1) == [200]
        assert [(await gateway.post(LIST, token=f"bad-{n}")).status_code for n in range(3)] == 3 * [401]
        asked = gateway.network.broker.introspections
        refused = await gateway.post(LIST, token="bad-4")
        assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["address-60s"])
        assert retry_after(refused) <= 60
        assert gateway.network.broker.introspections == asked
        assert await statuses([gateway], 2) == [200, 200]


@pytest.mark.parametrize(("trusted", "second"), [(frozenset({"127.0.0.1"}), 401), (frozenset[str](), 429)])
async def test_behind_a_proxy_of_ours_the_address_is_the_one_it_names(
    settings: Settings, clock: Clock, trusted: frozenset[str], second: int
) -> None:
    async with replicas(settings, clock, refused_tokens_per_minute=1, trusted_proxies=trusted) as (gateway,):
        flood = {"x-forwarded-for": "203.0.113.9, 198.51.100.1"}
        assert (await gateway.post(LIST, token="bad", headers=flood)).status_code == 401
        # The client wrote the first name itself; the last one is our proxy's.
        disguised = {"x-forwarded-for": "203.0.113.10, 198.51.100.1"}
        assert (await gateway.post(LIST, token="bad-2", headers=disguised)).status_code == 429
        other = {"x-forwarded-for": "203.0.113.9, 198.51.100.2"}
        assert (await gateway.post(LIST, token="bad-3", headers=other)).status_code == second


def test_a_limit_is_read_as_it_is_written() -> None:
    assert Limit.parse("tool:place-order 20/hour") == Limit("tool", "place-order", 20, 3600)
    assert Limit.parse("client 1/day") == Limit("client", None, 1, 86_400)


@pytest.mark.parametrize(
    "text",
    ["", "600", "delegation", "delegation 0/minute", "user 5/minute", "tool 5/hour", "client:x 5/hour"],
)
def test_what_is_no_limit_is_refused_at_start(settings: Settings, text: str) -> None:
    given: dict[str, Any] = settings.model_dump(exclude={"otlp_endpoint"})
    given["limits"] = [text]
    with pytest.raises(ValidationError, match="limits"):
        Settings(**given)
