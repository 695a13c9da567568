from authcore.clock import monotonic
from authcore.delegation_feed import DelegationFeed
from authcore.events import DelegationRevoked
from mcp_gateway.memory import TokenMemory
from tests.support.issuer import NOW, Clock

FAR = NOW + 10_000


def feed() -> DelegationFeed:
    hearing = DelegationFeed(deaf_after_seconds=3600)
    hearing.on_caught_up(monotonic())
    return hearing


def say(feed: DelegationFeed, delegation: str) -> None:
    fields = DelegationRevoked(delegation, 1).to_fields()
    feed.on_entry({name.encode(): value.encode() for name, value in fields.items()})


def memory(feed: DelegationFeed | None, clock: Clock, max_entries: int = 3) -> TokenMemory[str, str]:
    return TokenMemory(max_entries=max_entries, max_age_seconds=300, feed=feed, now=clock)


def put(memory: TokenMemory[str, str], key: str, delegation: str | None, expires_at: int = FAR) -> None:
    memory.put(key, "value of " + key, expires_at=expires_at, delegation=delegation, asked=memory.ticket())


def test_a_revoked_delegation_takes_everything_of_it_and_nothing_else() -> None:
    heard = feed()
    remembered = memory(heard, Clock())
    put(remembered, "a", "d1")
    put(remembered, "b", "d1")
    put(remembered, "c", "d2")
    say(heard, "d1")
    assert [remembered.get(key) for key in "abc"] == [None, None, "value of c"]
    assert len(remembered) == 1


def test_an_answer_that_its_revocation_has_overtaken_is_not_kept() -> None:
    heard = feed()
    remembered = memory(heard, Clock())
    asked = remembered.ticket()
    say(heard, "d1")
    remembered.put("a", "dead", expires_at=FAR, delegation="d1", asked=asked)
    assert remembered.get("a") is None


def test_after_a_gap_nothing_is_left_and_nothing_asked_before_is_kept() -> None:
    heard = feed()
    remembered = memory(heard, Clock())
    put(remembered, "a", "d1")
    asked = remembered.ticket()
    heard.on_gap()
    remembered.put("b", "perhaps dead", expires_at=FAR, delegation="d2", asked=asked)
    assert len(remembered) == 0


def test_what_is_announced_is_remembered_for_long_and_the_rest_for_a_moment() -> None:
    clock = Clock()
    remembered = memory(feed(), clock)
    put(remembered, "announced", "d1")
    put(remembered, "unannounced", None)
    clock.seconds += 4
    assert remembered.get("unannounced") is not None
    clock.seconds += 1
    assert remembered.get("unannounced") is None
    clock.seconds = NOW + 299
    assert remembered.get("announced") is not None
    clock.seconds += 1
    assert remembered.get("announced") is None


def test_without_a_feed_everything_is_remembered_for_a_moment_only() -> None:
    clock = Clock()
    remembered = memory(None, clock)
    put(remembered, "a", "d1")
    clock.seconds += 5
    assert remembered.get("a") is None


def test_a_deaf_process_uses_nothing_it_remembers() -> None:
    deaf = DelegationFeed(deaf_after_seconds=3)
    remembered = memory(deaf, Clock())
    put(remembered, "a", "d1")
    assert remembered.get("a") is None
    deaf.on_caught_up(monotonic())
    assert remembered.get("a") is not None


def test_nothing_outlives_its_token_and_the_least_used_goes_first() -> None:
    clock = Clock()
    remembered = memory(feed(), clock)
    for key in "abc":
        put(remembered, key, "d1")
    assert remembered.get("a") is not None
    put(remembered, "d", "d2", expires_at=NOW + 10)
    assert remembered.get("b") is None
    clock.seconds += 10
    assert remembered.get("d") is None
    assert remembered.get("a") is not None


def test_evicted_and_replaced_entries_leave_nothing_behind() -> None:
    heard = feed()
    remembered = memory(heard, Clock(), max_entries=1)
    put(remembered, "a", "d1")
    put(remembered, "a", "d2")
    say(heard, "d1")
    assert remembered.get("a") is not None
    put(remembered, "b", "d3")
    say(heard, "d2")
    say(heard, "d3")
    assert len(remembered) == 0
