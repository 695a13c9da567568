"""Many calls at once, of more than one user."""

import asyncio

from tests.support.system import JANE, JOHN, REGION, System, symbols

CALLS = 2_000
AT_ONCE = 64


async def test_2000_calls_64_at_a_time_all_succeed_and_nobody_sees_a_foreign_row(system: System) -> None:
    before = await system.counters()
    tokens = {email: await system.token(email) for email in (JOHN, JANE)}
    waiting = iter(range(CALLS))
    seen: dict[str, set[str]] = {JOHN: set(), JANE: set()}

    async def agent() -> int:
        calls = 0
        for number in waiting:
            email = (JOHN, JANE)[number % 2]
            found = symbols(await system.call(tokens[email]))
            assert found == REGION[email]
            seen[email] |= found
            calls += 1
        return calls

    assert sum(await asyncio.gather(*(agent() for _ in range(AT_ONCE)))) == CALLS
    assert seen == REGION
    after = await system.counters()
    assert after["token_exchange"] - before["token_exchange"] == len(tokens)
    assert after["introspection"] - before["introspection"] == len(tokens)


async def test_each_delegation_of_one_user_is_exchanged_once(system: System) -> None:
    tokens = [await system.token(JOHN) for _ in range(3)]
    before = await system.counters()
    answers = await asyncio.gather(*(system.call(token) for token in tokens * 10))
    assert all(symbols(answer) == REGION[JOHN] for answer in answers)
    assert (await system.counters())["token_exchange"] - before["token_exchange"] == len(tokens)
