"""Malformed messages, thousands of them: no 5xx, no hang, no growth in memory."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort

from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import Gateway, running
from tests.mcp_gateway.malformed import bodies, headers
from tests.support.issuer import Clock

PATIENCE_SECONDS = 5.0
KEPT = 60
ROUNDS = 5
ALLOWED_GROWTH_BYTES = 32 * 1024
"""In all rounds together: a hundred bytes for each message would be noticed."""

INTERNAL_ERROR = -32603


@dataclass
class Fuzzed:
    """A running gateway that a synchronous test can talk to."""

    runner: asyncio.Runner
    gateway: Gateway
    sent: list[tuple[bytes, dict[str, str]]] = field(default_factory=list[tuple[bytes, dict[str, str]]])

    def post(self, body: bytes, given_headers: dict[str, str]) -> httpx.Response:
        return self.runner.run(self.send(body, given_headers))

    async def send(self, body: bytes, given_headers: dict[str, str]) -> httpx.Response:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.gateway.http.post(
                "/mcp", content=body, headers=given_headers | {"authorization": "Bearer john"}
            )


@pytest.fixture
def fuzzed(settings: Settings, clock: Clock) -> Generator[Fuzzed]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Fuzzed(runner, runner.run(stack.enter_async_context(running(settings, clock))))
        runner.run(stack.aclose())


def check(response: httpx.Response) -> None:
    """A clean answer: no 5xx, and no internal error in the clothes of a 200."""
    assert response.status_code < 500, response.text
    if response.content and response.headers["content-type"].startswith("application/json"):
        document: Any = json.loads(response.content)
        assert document.get("jsonrpc") != "2.0" or document.get("error", {}).get("code") != INTERNAL_ERROR


def fuzz(fuzzed: Fuzzed, examples: int) -> None:
    @effort(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(bodies, headers)
    def clean(body: bytes, given_headers: dict[str, str]) -> None:
        if len(fuzzed.sent) < KEPT:
            fuzzed.sent.append((body, given_headers))
        check(fuzzed.post(body, given_headers))

    clean()
    assert memory_growth(fuzzed) < ALLOWED_GROWTH_BYTES


def memory_growth(fuzzed: Fuzzed) -> int:
    """Send what was kept again and again; return by how many bytes that made us bigger."""

    def once() -> int:
        fuzzed.runner.run(everything())
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def everything() -> None:
        for body, given_headers in fuzzed.sent:
            await fuzzed.send(body, given_headers)

    once()
    tracemalloc.start()
    try:
        once()
        before = once()
        return [once() for _ in range(ROUNDS)][-1] - before
    finally:
        tracemalloc.stop()


def test_hundreds_of_malformed_messages_get_clean_answers_and_leave_nothing_behind(fuzzed: Fuzzed) -> None:
    fuzz(fuzzed, 500)


@pytest.mark.slow
def test_ten_thousand_malformed_messages_get_clean_answers_and_leave_nothing_behind(fuzzed: Fuzzed) -> None:
    fuzz(fuzzed, 10_000)
