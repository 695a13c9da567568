"""Claims, by whatever name."""

from typing import Any

import pytest

from authcore.claims import (
    actors_of,
    audience_of,
    common,
    context_of,
    covers,
    delegation_id_of,
    format_scope,
    parse_scope,
)
from authcore.errors import InvalidToken


@pytest.mark.parametrize(
    ("granted", "required", "reaches"),
    [
        ({"stocks/read"}, {"stocks/read"}, True),
        ({"stocks"}, {"stocks/read", "stocks/trade"}, True),
        ({"stocks/read"}, {"stocks"}, False),
        ({"stocks/read"}, {"stocks/read", "stocks/trade"}, False),
        ({"stock"}, {"stocks/read"}, False),
        ({"stocks/"}, {"stocks/read"}, False),
        (set[str](), {"stocks/read"}, False),
        (set[str](), set[str](), True),
        ({""}, {"/read"}, True),
    ],
)
def test_a_scope_contains_what_is_below_it(granted: set[str], required: set[str], reaches: bool) -> None:
    assert covers(frozenset(granted), frozenset(required)) is reaches


def test_what_two_sets_of_scopes_have_in_common_is_what_both_reach() -> None:
    wide, narrow = frozenset({"stocks", "profile"}), frozenset({"stocks/read", "mail"})
    assert common(wide, narrow) == common(narrow, wide) == {"stocks/read"}
    assert common(narrow, frozenset({"stocks/trade"})) == frozenset()


def test_scopes_have_one_spelling() -> None:
    assert format_scope(parse_scope("b  a b")) == "a b"
    assert parse_scope(["a", "b"]) == {"a", "b"}
    assert parse_scope(None) == frozenset()


@pytest.mark.parametrize("value", [1, {"a": 1}, [1], [""]])
def test_a_scope_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(InvalidToken):
        parse_scope(value)


@pytest.mark.parametrize("claims", [{}, {"aud": 1}, {"aud": [1]}, {"aud": None}])
def test_an_audience_is_required(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        audience_of(claims)


@pytest.mark.parametrize("act", ["x", {}, {"sub": 1}, {"sub": "a", "act": "b"}])
def test_a_broken_actor_chain_is_refused_not_cut(act: Any) -> None:
    with pytest.raises(InvalidToken):
        actors_of({"act": act})


def test_missing_context_claims_are_named() -> None:
    assert context_of({}).missing() == ("region", "client_type", "client_assurance_level")
    full = {"region": "USA", "client_type": "mcp", "client_assurance_level": 0}
    assert context_of(full).missing() == ()


@pytest.mark.parametrize(
    ("names", "delegation"),
    [
        (("delegationId",), None),
        (("delegationId", "sid"), "s1"),
        (("sid+azp",), "s1~agent"),
        (("sid+missing", "azp"), "agent"),
        (("/ext/grant",), "g1"),
        (("/ext/grant+sid",), "g1~s1"),
        (("/ext/a~1b~0c",), "escaped"),
        (("/ext/grant/below", "/missing/x"), None),
        (("https://names.example/id",), "by a URL"),
    ],
)
def test_a_delegation_is_named_by_the_first_claims_that_are_all_there(
    names: tuple[str, ...], delegation: str | None
) -> None:
    ext = {"grant": "g1", "a/b~c": "escaped"}
    claims = {"sid": "s1", "azp": "agent", "ext": ext, "https://names.example/id": "by a URL"}
    assert delegation_id_of(claims, names) == delegation


@pytest.mark.parametrize("sid", [1, "", "a~b"])
def test_a_part_that_could_make_two_delegations_one_is_refused(sid: object) -> None:
    with pytest.raises(InvalidToken):
        delegation_id_of({"sid": sid, "azp": "agent"}, ("sid+azp",))
