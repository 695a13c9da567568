"""One piece of work at a time for each key."""

import asyncio

import pytest

from authcore.single_flight import SingleFlight


async def test_callers_share_one_run_and_its_error() -> None:
    flight, runs, gate = SingleFlight[str, int](), 0, asyncio.Event()

    async def work() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        if runs == 1:
            raise LookupError("first")
        return runs

    callers = [asyncio.create_task(flight.run("k", work)) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(outcome, LookupError) for outcome in outcomes)
    assert await flight.run("k", work) == 2


async def test_a_cancelled_caller_takes_nobody_with_it() -> None:
    flight, gate = SingleFlight[str, str](), asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "done"

    leader = asyncio.create_task(flight.run("k", work))
    follower = asyncio.create_task(flight.run("k", work))
    await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    gate.set()
    assert await follower == "done"
