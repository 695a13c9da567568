"""Approvals in Redis when two things happen at once."""

from collections.abc import AsyncGenerator

import pytest

from authcore.redis_client import connect
from mcp_gateway.approvals.calls import Call
from mcp_gateway.approvals.sealing import Sealer
from mcp_gateway.approvals.store import Approval, Approvals
from tests.support.issuer import Clock
from tests.support.redis_contents import opened

CALL = Call("https://login.test", "john", "agent-1", "order", {"symbol": "COM1"})


class Late(Approvals):
    """Decides without having heard of the decision that was made a moment ago."""

    heard = False

    async def decision(self, approval: Approval) -> bool | None:
        if self.heard:
            return await super().decision(approval)
        self.heard = True
        return None


@pytest.fixture
async def stores(redis_url: str, clock: Clock) -> AsyncGenerator[tuple[Approvals, Late]]:
    redis = connect(redis_url, timeout_seconds=5, max_connections=4)
    sealer = Sealer((b"k" * 32,), now=clock)
    yield Approvals(redis, sealer, seconds=300, now=clock), Late(redis, sealer, seconds=300, now=clock)
    await redis.aclose()


@pytest.mark.parametrize("first", [True, False])
async def test_of_two_answers_at_once_the_first_holds(stores: tuple[Approvals, Late], first: bool) -> None:
    prompt, late = stores
    approval = await prompt.ask(CALL)
    assert await prompt.decide(approval, approved=first, by="page") is first
    assert await late.decide(approval, approved=not first, by="page") is first
    assert await prompt.decision(approval) is first


async def test_an_answer_moved_to_another_question_answers_nothing(
    stores: tuple[Approvals, Late], redis_url: str
) -> None:
    approvals, _ = stores
    one = await approvals.ask(CALL)
    other = await approvals.ask(Call(CALL.issuer, CALL.subject, CALL.client_id, "order", {"symbol": "COM2"}))
    await approvals.decide(one, approved=True, by="page")
    with opened(redis_url) as contents:
        for part in ("", ":decision"):
            contents.copy(f"approvals:{one.id}{part}", f"approvals:{other.id}{part}")
    assert await approvals.find(other.id) is None
    assert await approvals.decision(other) is None
