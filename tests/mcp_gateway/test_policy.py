"""What the policy means: for the guard, for the lists, and for a client that lacks what no token gives."""

from typing import Any

import httpx
import pytest

from mcp_gateway.listing import SCOPES_NEEDED
from mcp_gateway.policy import PROMPT_RULES, RESOURCE_RULES, Rule, resource_rule
from mcp_gateway.server import TOOLS
from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import Gateway, Plant, running
from tests.support.issuer import Clock

TRADE = frozenset({"stocks/read", "stocks/trade"})
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def listed(response: httpx.Response) -> dict[str, list[str] | None]:
    """The tools of a list, each with the scopes it still needs."""
    tools = response.json()["result"]["tools"]
    return {tool["name"]: tool.get("_meta", {}).get(SCOPES_NEEDED) for tool in tools}


@pytest.mark.requirement("insufficient-scope")
async def test_one_challenge_names_all_scopes_of_the_operation(gateway: Gateway, plant: Plant) -> None:
    calls = plant("trade", Rule(scope=TRADE))
    response = await gateway.call("trade")
    assert response.status_code == 403
    assert 'scope="stocks/read stocks/trade"' in response.headers["www-authenticate"]
    assert calls == []


async def test_the_list_marks_what_a_step_up_can_reach_and_leaves_out_what_none_can(
    gateway: Gateway, plant: Plant
) -> None:
    plant("a-trade", Rule(scope=TRADE))
    plant("b-workloads-only", Rule(scope=TRADE, assurance_level=2))
    plant("c-people-only", Rule(scope=frozenset({"stocks/read"}), client_types=frozenset({"web"})))
    own = {name: None for name in TOOLS if name == "fetch-stock-prices"}
    found = listed(await gateway.post(LIST))
    assert found["a-trade"] == sorted(TRADE)
    assert found.items() >= own.items()
    assert "b-workloads-only" not in found
    assert "c-people-only" not in found
    gateway.network.broker.tokens["proven"] = {"client_assurance_level": 2, "scope": "stocks"}
    assert listed(await gateway.post(LIST, token="proven"))["b-workloads-only"] is None


async def test_the_list_is_in_the_same_order_every_time(gateway: Gateway, plant: Plant) -> None:
    for name in ("z", "a", "m"):
        plant(name, Rule(scope=TRADE))
    names = list(listed(await gateway.post(LIST)))
    assert names == sorted(names)
    assert names == list(listed(await gateway.post(LIST)))


async def test_a_setting_hides_what_would_take_a_step_up(
    settings: Settings, clock: Clock, plant: Plant
) -> None:
    plant("trade", Rule(scope=TRADE))
    async with running(settings.model_copy(update={"list_step_up": False}), clock) as gateway:
        assert "trade" not in listed(await gateway.post(LIST))
        assert listed(await gateway.post(LIST, token="nobody")) == {}
        # Hidden is not forbidden: whoever knows the name is still told what to ask for.
        assert (await gateway.call("trade")).status_code == 403


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule(scope=TRADE, assurance_level=2), "assurance level 2"),
        (Rule(scope=TRADE, client_types=frozenset({"web"})), "type web"),
    ],
    ids=["level", "type"],
)
async def test_what_no_wider_token_can_mend_is_told_to_the_model_and_never_challenged(
    gateway: Gateway, plant: Plant, rule: Rule, named: str
) -> None:
    calls = plant("out-of-reach", rule)
    response = await gateway.call("out-of-reach")
    assert response.status_code == 200
    assert "www-authenticate" not in response.headers
    result = response.json()["result"]
    assert result["isError"]
    assert named in result["content"][0]["text"]
    assert calls == []


@pytest.mark.parametrize("claims", [{"client_assurance_level": None}, {"client_type": None}], ids=str)
async def test_a_claim_that_is_absent_satisfies_no_rule(
    gateway: Gateway, plant: Plant, claims: dict[str, Any]
) -> None:
    calls = plant("guarded", Rule(scope=frozenset(), assurance_level=1, client_types=frozenset({"mcp"})))
    gateway.network.broker.tokens["bare"] = claims
    assert (await gateway.call("guarded", token="bare")).json()["result"]["isError"]
    assert not (await gateway.call("guarded")).json()["result"]["isError"]
    assert len(calls) == 1


@pytest.mark.requirement("insufficient-scope")
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": "ledger://ACME"}),
        ("resources/subscribe", {"uri": "ledger://ACME"}),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["x://y", "ledger://ACME"]}}),
        ("prompts/get", {"name": "audit"}),
    ],
)
async def test_every_operation_that_a_rule_covers_is_decided_before_the_transport(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, method: str, params: dict[str, Any]
) -> None:
    monkeypatch.setitem(RESOURCE_RULES, "ledger://{symbol}", Rule(scope=TRADE))
    monkeypatch.setitem(PROMPT_RULES, "audit", Rule(scope=TRADE))
    response = await gateway.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert response.status_code == 403
    assert 'scope="stocks/read stocks/trade"' in response.headers["www-authenticate"]


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        "x",
        {"uri": 5},
        {"name": ["audit"]},
        {"notifications": {"resourceSubscriptions": "ledger://A"}},
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "method", ["tools/call", "resources/read", "resources/subscribe", "subscriptions/listen", "prompts/get"]
)
async def test_parameters_of_the_wrong_shape_are_an_error_and_not_a_failure(
    gateway: Gateway, method: str, params: object
) -> None:
    response = await gateway.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert response.status_code < 500
    assert "error" in response.json()


def test_a_template_matches_whole_uris_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule(scope=TRADE)
    monkeypatch.setitem(RESOURCE_RULES, "ledger://{symbol}", rule)
    assert resource_rule("ledger://ACME") is rule
    for other in ("ledger://", "ledger://A/b", "xledger://A", "ledger://A?b", "LEDGER://A", "ledger://A\n/"):
        assert resource_rule(other) is None
