"""Whatever is done to the store, in whatever order, what it gives out is what it may give out."""

import secrets
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authcore.redis_client import connect
from tests.support.issuer import NOW, Clock
from tests.support.redis_contents import RedisContents
from tests.token_broker.conftest import API
from token_broker.delegations import (
    PHANTOM,
    AlreadyRevoked,
    CacheResult,
    Delegation,
    DelegationStore,
    exchanged,
)
from token_broker.sealing import Sealer

LEEWAY = 10
ENTRIES = (PHANTOM, exchanged(API, frozenset({"read"})), exchanged(API, frozenset({"read", "trade"})))
KEYS = {"token-a": "one-key", "token-b": "another-key", "token-c": "no-key"}
"""Subject tokens, and what each is bound to: any of them may belong to any delegation."""
TOKENS = tuple(KEYS)
DELEGATIONS = (Delegation("one", "claim"), Delegation("two", "jti"))

delegations = st.sampled_from(DELEGATIONS)
tokens = st.sampled_from(TOKENS)
entries = st.sampled_from(ENTRIES)
# Far apart, so that the seconds that pass in Redis during a test decide nothing.
lives = st.integers(min_value=0, max_value=10).map(lambda number: number * 100)

steps = st.one_of(
    st.tuples(st.just("write"), delegations, tokens, entries, lives, lives),
    st.tuples(st.just("revoke"), delegations),
    st.tuples(st.just("wait"), st.sampled_from([50, 150, 450])),
    st.tuples(st.just("rotate")),
    st.tuples(st.just("withdraw")),
)


@dataclass
class Model:
    """What the store should know."""

    kept: dict[tuple[str, str, str], tuple[str, int]] = field(
        default_factory=dict[tuple[str, str, str], tuple[str, int]]
    )
    revoked: set[str] = field(default_factory=set[str])
    ring: list[bytes] = field(default_factory=lambda: [b"k" * 32])
    sealed_by: dict[tuple[str, str, str], bytes] = field(default_factory=dict[tuple[str, str, str], bytes])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(steps, max_size=15))
async def test_the_store_gives_out_the_last_living_token_of_a_living_delegation_and_nothing_else(
    redis: RedisContents, redis_url: str, script: list[tuple[object, ...]]
) -> None:
    redis.clear()
    clock, model = Clock(), Model()
    connection = connect(redis_url, timeout_seconds=2.0, max_connections=2)
    results: list[CacheResult] = []
    sealer = Sealer(tuple(model.ring))
    store = DelegationStore(
        connection,
        sealer,
        now=clock,
        leeway_seconds=LEEWAY,
        tombstone_seconds=3600,
        count=results.append,
    )
    for number, step in enumerate(script):
        await play(step, number, store, model, clock)
        sealer.use(tuple(model.ring))
        await compare(store, model, clock)
        assert all(0 < redis.ttl(key) <= 1000 for key in redis.delegations())
    await connection.aclose()


async def play(
    step: tuple[object, ...], number: int, store: DelegationStore, model: Model, clock: Clock
) -> None:
    match step:
        case (
            "write",
            Delegation() as delegation,
            str() as token,
            str() as entry,
            int() as life,
            int() as rest,
        ):
            jwt = f"jwt-{number} for {KEYS[token]}"
            expires_at, subject_expires_at = clock.seconds + life, clock.seconds + rest
            try:
                await store.write(
                    delegation,
                    token,
                    entry,
                    jwt,
                    expires_at=expires_at,
                    subject_expires_at=subject_expires_at,
                )
            except AlreadyRevoked:
                assert delegation.tag in model.revoked
                return
            assert delegation.tag not in model.revoked
            until = min(expires_at - LEEWAY, subject_expires_at)
            if until > clock.seconds:
                model.kept[delegation.tag, token, entry] = (jwt, until)
                model.sealed_by[delegation.tag, token, entry] = model.ring[0]
        case ("revoke", Delegation() as delegation):
            await store.revoke(delegation.tag)
            model.revoked.add(delegation.tag)
            model.kept = {key: value for key, value in model.kept.items() if key[0] != delegation.tag}
        case ("wait", int() as seconds):
            clock.seconds += seconds
            assert clock.seconds >= NOW
        case ("rotate",):
            model.ring.insert(0, secrets.token_bytes(32))
        case ("withdraw",):
            # What only the withdrawn keys open is as good as gone.
            del model.ring[1:]
            model.kept = {
                key: value for key, value in model.kept.items() if model.sealed_by[key] in model.ring
            }
        case _:
            raise AssertionError(step)


async def compare(store: DelegationStore, model: Model, clock: Clock) -> None:
    for delegation in DELEGATIONS:
        for token in TOKENS:
            for entry in ENTRIES:
                jwt, until = model.kept.get((delegation.tag, token, entry), (None, 0))
                expected = jwt if until > clock.seconds else None
                read = await store.read(delegation, token, entry)
                assert read == expected
                assert read is None or read.endswith(f" for {KEYS[token]}")
