"""What operators see of delegations, and what nobody sees."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from authcore.key_ring import base64url
from tests.support.issuer import NOW, Clock, ec_key
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import API, GATEWAY_KEY, OPERATOR_KEY, Broker, Start, public
from tests.token_broker.fake_authorization_server import FakeAuthorizationServer
from token_broker.client_auth import Right
from token_broker.delegation_index import ALL, of_client, of_user
from token_broker.delegations import USE_NOTED_SECONDS
from token_broker.settings import CallerSettings, Settings

READER_KEY = ec_key("reader")
REVOKER_KEY = ec_key("revoker")
LISTS = "{delegations}:*"

Query = dict[str, str | int]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    callers = settings.callers | {
        "reader": CallerSettings(jwks=public(READER_KEY), operator=frozenset[Right]({"read"})),
        "revoker": CallerSettings(jwks=public(REVOKER_KEY), operator=frozenset[Right]({"revoke"})),
    }
    return settings.model_copy(update={"callers": callers})


async def call(
    broker: Broker, path: str, query: Query | None = None, *, method: str = "GET", who: str = "operator"
) -> httpx.Response:
    key = {"operator": OPERATOR_KEY, "reader": READER_KEY, "revoker": REVOKER_KEY, "mcp-gateway": GATEWAY_KEY}
    bearer = broker.assertion(who, key[who])["client_assertion"]
    return await broker.http.request(
        method, path, params=query, headers={"authorization": "Bearer " + bearer}
    )


async def listed(broker: Broker, query: Query | None = None) -> list[dict[str, Any]]:
    """All pages together."""
    found: list[dict[str, Any]] = []
    cursor: Query = {}
    for _ in range(50):
        page = (await call(broker, "/delegations", (query or {}) | cursor)).json()
        found += page["delegations"]
        if "next" not in page:
            return found
        cursor = {"cursor": page["next"]}
    raise AssertionError("there is always another page")


async def known(broker: Broker, server: FakeAuthorizationServer, name: str, **claims: Any) -> str:
    """A delegation with an exchanged token. Returns its subject token."""
    token = server.knows(f"token-of-{name}", delegationId=name, **claims)
    assert (await broker.exchange(token)).status_code == 200
    return token


async def test_an_operator_sees_what_a_delegation_is_and_not_whose(
    broker: Broker, server: FakeAuthorizationServer
) -> None:
    await known(broker, server, "one", sub="john.doe@demo.example", exp=NOW + 600)
    response = await call(broker, "/delegations")
    assert response.headers["cache-control"] == "no-store"
    (delegation,) = response.json()["delegations"]
    assert len(delegation.pop("user")) == 22
    assert delegation == {
        "id": "one",
        "client": "agent-1",
        "audiences": [API],
        "created_at": "2027-01-15T08:00:00Z",
        "last_used_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T08:09:50Z",
    }
    shown = await call(broker, "/delegations/one")
    assert shown.json()["tokens"] == [
        {"audience": API, "scope": "stocks/read", "expires_at": "2027-01-15T08:09:50Z"}
    ]
    for answer in (response, shown):
        assert "john" not in answer.text
        assert not any(secret in answer.text for secret in (*server.jwts, "token-of-one"))


async def test_pages_follow_each_other_without_a_gap_in_the_order_of_expiry(
    broker: Broker, server: FakeAuthorizationServer
) -> None:
    # Many expire in the same second: the cursor has to tell them apart.
    lives = {f"d-{number}": 300 + 100 * (number % 3) for number in range(14)}
    for name, life in lives.items():
        await known(broker, server, name, exp=NOW + life)
    expected = sorted(lives, key=lambda name: (lives[name], name))
    for limit in (1, 4, 14, 200):
        assert [one["id"] for one in await listed(broker, {"limit": limit})] == expected


async def test_a_list_has_what_the_filter_asks_for(broker: Broker, server: FakeAuthorizationServer) -> None:
    await known(broker, server, "a", sub="john", client_id="agent-1")
    await known(broker, server, "b", sub="john", client_id="agent-2")
    await known(broker, server, "c", sub="jane", client_id="agent-2")
    server.knows("d", delegationId="d", sub="jane", client_id="https://agent.example/metadata.json")
    await broker.introspect("d")
    by_id = {one["id"]: one for one in await listed(broker)}
    john, jane = by_id["a"]["user"], by_id["c"]["user"]
    assert (by_id["b"]["user"], by_id["d"]["user"]) == (john, jane)
    assert john != jane
    queries: list[tuple[Query, set[str]]] = [
        ({"user": john}, {"a", "b"}),
        ({"client": "agent-2"}, {"b", "c"}),
        ({"client": "agent-2", "user": jane}, {"c"}),
        ({"client": "https://agent.example/metadata.json"}, {"d"}),
        ({"audience": API}, {"a", "b", "c"}),
        ({"audience": API, "user": jane}, {"c"}),
        ({"audience": "https://elsewhere.example"}, set()),
        ({"client": "nobody"}, set()),
    ]
    for query, expected in queries:
        assert {one["id"] for one in await listed(broker, {"limit": 1} | query)} == expected


async def test_a_delegation_leaves_every_list_with_its_revocation(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents
) -> None:
    await known(broker, server, "one")
    await known(broker, server, "two", sub="user-2", client_id="agent-2")
    assert (await call(broker, "/delegations/one", method="DELETE")).status_code == 204
    assert [one["id"] for one in await listed(broker)] == ["two"]
    assert (await call(broker, "/delegations/one")).status_code == 404
    assert set(redis.matching(LISTS)) == {ALL, of_client("agent-2"), *redis.matching("{delegations}:user:*")}
    assert len(redis.matching("{delegations}:user:*")) == 1


async def test_what_a_crash_left_on_a_list_is_not_shown_and_is_taken_off(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents
) -> None:
    await known(broker, server, "one")
    with redis.at_once():
        redis.drop("{d:one}:tokens")
        redis.set("{d:one}:revoked", b"1")
    assert await listed(broker) == []
    assert not redis.exists(ALL)


async def test_a_delegation_that_is_about_to_be_there_stays_listed(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents
) -> None:
    await known(broker, server, "one")
    kept = redis.hash("{d:one}:tokens")
    redis.drop("{d:one}:tokens")
    assert await listed(broker) == []
    for name, value in kept.items():
        redis.set_field("{d:one}:tokens", name, value)
    assert [one["id"] for one in await listed(broker)] == ["one"]


async def test_lists_lose_what_has_expired_and_do_not_outlive_it(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents, clock: Clock
) -> None:
    for number in range(20):
        await known(broker, server, f"old-{number}", exp=NOW + 100)
    assert all(80 <= redis.ttl(key) <= 100 for key in redis.matching(LISTS))
    clock.seconds = NOW + 200
    assert await listed(broker) == []
    await known(broker, server, "new", exp=NOW + 900)
    assert redis.members(ALL) == redis.members(of_client("agent-1")) == ["new"]


async def test_a_renewed_delegation_is_listed_until_its_last_token_expires(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock
) -> None:
    await known(broker, server, "one", exp=NOW + 900)
    server.knows("another", delegationId="one", exp=NOW + 300)
    await broker.exchange("another")
    clock.seconds = NOW + 600
    (delegation,) = await listed(broker)
    assert delegation["expires_at"] == "2027-01-15T08:14:50Z"


async def test_last_use_is_known_to_the_minute(
    broker: Broker, server: FakeAuthorizationServer, clock: Clock
) -> None:
    token = await known(broker, server, "one")

    async def last_used() -> str:
        return (await call(broker, "/delegations/one")).json()["last_used_at"]

    clock.seconds = NOW + USE_NOTED_SECONDS - 1
    await broker.introspect(token)
    assert await last_used() == "2027-01-15T08:00:00Z"
    clock.seconds = NOW + USE_NOTED_SECONDS + 5
    await broker.introspect(token)
    assert await last_used() == "2027-01-15T08:01:05Z"
    assert (await call(broker, "/delegations/one")).json()["created_at"] == "2027-01-15T08:00:00Z"


async def test_use_is_not_noted_of_what_is_not_there(
    broker: Broker, redis: RedisContents, token: str
) -> None:
    await broker.introspect(token)
    assert redis.matching("{d:*") == []


@pytest.mark.parametrize(
    ("who", "reads", "ends"), [("operator", 200, 204), ("reader", 200, 403), ("revoker", 403, 204)]
)
async def test_seeing_and_ending_are_separate_rights(
    broker: Broker, server: FakeAuthorizationServer, who: str, reads: int, ends: int
) -> None:
    await known(broker, server, "one")
    assert (await call(broker, "/delegations", who=who)).status_code == reads
    assert (await call(broker, "/delegations/one", who=who)).status_code == reads
    refused = await call(broker, "/delegations/one", who=who, method="DELETE")
    assert refused.status_code == ends
    assert ends == 204 or refused.json()["error"] == "access_denied"


@pytest.mark.parametrize("path", ["/delegations", "/delegations/one"])
async def test_who_is_not_an_operator_sees_nothing(
    broker: Broker, server: FakeAuthorizationServer, path: str
) -> None:
    await known(broker, server, "one")
    anonymous = await broker.http.get(path)
    assert anonymous.status_code == 401
    assert anonymous.headers["www-authenticate"].startswith("Bearer")
    caller = await call(broker, path, who="mcp-gateway")
    assert caller.status_code == 403
    forged = broker.assertion("operator", ec_key("operator"))["client_assertion"]
    stranger = await broker.http.get(path, headers={"authorization": "Bearer " + forged})
    assert stranger.status_code == 401
    assert not any("agent-1" in answer.text for answer in (anonymous, caller, stranger))


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"cursor": "x"},
        {"cursor": "ä"},
        {"cursor": base64url(b"-1|one")},
        {"cursor": base64url(b"9" * 15 + b"|one")},
        {"user": "john"},
        {"client": "c" * 3000},
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_and_not_repeated(broker: Broker, query: Query) -> None:
    response = await call(broker, "/delegations", query)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert str(next(iter(query.values()))) * 2 not in response.text
    assert response.headers["cache-control"] == "no-store"


async def test_an_id_is_a_name_and_never_a_pattern_or_a_key(
    broker: Broker, server: FakeAuthorizationServer
) -> None:
    await known(broker, server, "a}:tokens/{b")
    for name in ("*", "one", "a", "a}:tokens", "%7Bd:x%7D", ""):
        assert (await call(broker, f"/delegations/{name}")).status_code == 404
    (delegation,) = await listed(broker)
    assert (await call(broker, "/delegations/" + delegation["id"])).json()["id"] == delegation["id"]
    assert (await call(broker, "/delegations/a%7D:tokens/%7Bb")).json()["id"] == delegation["id"]


async def test_a_client_id_may_be_anything(broker: Broker, server: FakeAuthorizationServer) -> None:
    await known(broker, server, "one", client_id="ä\x1b[2J")
    (delegation,) = await listed(broker)
    assert delegation["client"] == "\\xe4\x1b[2J"


async def test_redis_holds_no_name_of_a_user(
    broker: Broker, server: FakeAuthorizationServer, redis: RedisContents
) -> None:
    await known(broker, server, "one", sub="john.doe@demo.example", email="john.doe@demo.example")
    assert b"john" not in redis.dump()


async def test_users_are_named_differently_where_the_sealing_key_differs(
    start: Start, server: FakeAuthorizationServer, redis: RedisContents
) -> None:
    names: set[str] = set()
    for key in ("A" * 43, "B" * 42 + "A"):
        broker = await start(sealing_key=SecretStr(key))
        await known(broker, server, f"of-{key}")
        names |= {one["user"] for one in await listed(broker)}
    assert len(names) == 2
    assert all(redis.members(of_user(name)) for name in names)
