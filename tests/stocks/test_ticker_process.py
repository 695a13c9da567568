"""Tickers as processes: one is killed, another goes on; wrong settings end the start with one line."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authcore.clock import monotonic
from stocks.asyncapi import document
from stocks.price_store import PriceStore
from tests.stocks.prices import heard, reaches
from tests.support.redis_server import free_port

START_SECONDS = 30.0
TAKEOVER_SECONDS = 2.0
ASYNCAPI = Path(__file__).parents[2] / "docs" / "asyncapi.json"


@asynccontextmanager
async def running(*arguments: str, **variables: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stocks", "ticker", *arguments),
        env=os.environ | {"TICKER_PORT": str(free_port())} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_when_the_publishing_process_is_killed_a_standby_goes_on_without_a_gap(
    redis_url: str, store: PriceStore
) -> None:
    rate = ("--updates-per-second", "100")
    async with running(*rate, TICKER_REDIS_URL=redis_url) as first:
        await reaches(store, 20, within_seconds=START_SECONDS)
        async with running(*rate, TICKER_REDIS_URL=redis_url) as standby:
            assert standby.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                while b"startup complete" not in await standby.stdout.readline():
                    pass
            first.kill()
            await first.wait()
            killed, board = monotonic(), await store.read("USA")
            board = await reaches(store, board.sequence + 1)
            assert monotonic() - killed < TAKEOVER_SECONDS
            board = await reaches(store, board.sequence + 20)
            updates = await heard(redis_url, board.sequence)

            standby.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                await standby.communicate()
            # uvicorn ends as the signal would have it, once everything is closed.
            assert standby.returncode == -signal.SIGTERM
    assert [update.sequence for update in updates] == list(range(1, board.sequence + 1))


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        ((), {}, "TICKER_REDIS_URL: Value error, is required"),
        ((), {"TICKER_REDIS_URL": "nats://127.0.0.1"}, "TICKER_REDIS_URL: Value error, must be"),
        (("--replay", "/nowhere.csv"), {"TICKER_REDIS_URL": "redis://127.0.0.1:1"}, "TICKER_REPLAY: "),
        (("--updates-per-second", "0"), {"TICKER_REDIS_URL": "redis://127.0.0.1:1"}, "greater than 0"),
        (("--speed", "fast"), {"TICKER_REDIS_URL": "redis://127.0.0.1:1"}, "TICKER_SPEED: "),
    ],
)
async def test_wrong_settings_end_the_start_with_one_line(
    arguments: tuple[str, ...], variables: dict[str, str], complaint: str
) -> None:
    async with running(*arguments, **variables) as process, asyncio.timeout(START_SECONDS):
        output, _ = await process.communicate()

    assert process.returncode == 2
    assert complaint in output.decode()
    assert output.count(b"\n") == 1


def test_the_asyncapi_document_is_current() -> None:
    assert ASYNCAPI.read_text("utf-8") == document(), "make asyncapi"
