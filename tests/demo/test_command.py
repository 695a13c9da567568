import json
import os
import re
import signal
import stat
from pathlib import Path

import pytest

from demo.stack import StackError, StackOptions, running_stack
from tests.demo.running import demo, is_running, pids_with
from tests.support.eventually import eventually


def long_random_strings(text: str) -> list[str]:
    """Return what could be a token, a code or a password: long, and no name of several words."""
    return [word for word in re.findall(r"[A-Za-z0-9_-]{25,}", text) if not re.fullmatch(r"[a-z_-]+", word)]


async def test_once_shows_both_users_their_stocks_and_leaves_nothing(tmp_path: Path) -> None:
    async with demo(tmp_path, "--once") as run:
        assert await run.ends(within_seconds=120) == 0, run.output.read_text()
        shown = run.output.read_text()
        assert "COM1 450.22, COM4 180.75" in shown
        assert "COM2 250.62, COM3 21.07" in shown
        assert "Token exchanges the authorization server saw: 2" in shown
        assert long_random_strings(shown) == []
        assert not any(is_running(pid) for pid in run.pids)
        assert run.leaves_nothing()


async def test_two_demos_run_beside_each_other_and_end_without_a_trace(tmp_path: Path) -> None:
    async with demo(tmp_path / "1", "--no-story") as one, demo(tmp_path / "2", "--no-story") as two:
        await one.is_up()
        await two.is_up()
        assert not {one.state["mcp"], one.state["issuer"]} & {two.state["mcp"], two.state["issuer"]}
        assert stat.S_IMODE(one.state_file.stat().st_mode) == 0o600
        for entry in one.directory.iterdir():
            assert stat.S_IMODE(entry.stat().st_mode) == 0o700

        one.process.send_signal(signal.SIGINT)
        assert await one.ends(within_seconds=3) == 0
        assert one.leaves_nothing()
        assert all(is_running(pid) for pid in two.pids)

        two.process.kill()
        await two.process.wait()
        await eventually(two.leaves_nothing)


async def test_an_interrupt_during_the_start_ends_it_without_a_trace(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-story") as run:
        await eventually(lambda: len(pids_with(run.directory)) > 3, within_seconds=60)
        run.process.send_signal(signal.SIGINT)
        assert await run.ends(within_seconds=3) == 130
        assert "Traceback" not in run.output.read_text()
        assert run.leaves_nothing()


async def test_a_part_that_dies_ends_the_demo_with_its_log(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-story") as run:
        await run.is_up()
        pid = json.loads(run.state_file.read_text())["processes"]["stocks"]["pid"]
        os.kill(pid, signal.SIGKILL)
        assert await run.ends(within_seconds=5) == 1
        assert "stocks ended with exit code -9" in run.output.read_text()
        assert run.leaves_nothing()


async def test_a_part_that_cannot_start_is_named_with_what_it_said() -> None:
    options = StackOptions(extra={"stocks": {"STOCKS_CLOCK_SKEW_SECONDS": "-1"}})
    with pytest.raises(StackError, match=r"stocks ended with exit code 2[\s\S]*STOCKS_CLOCK_SKEW_SECONDS"):
        async with running_stack(options):
            pass


async def test_a_part_that_is_not_ready_in_time_is_named_with_the_place_of_its_log(tmp_path: Path) -> None:
    options = StackOptions(logs=tmp_path, start_timeout_seconds=0.0)
    with pytest.raises(StackError, match=r"gateway not ready after \d+ s") as late:
        async with running_stack(options):
            pass
    assert f"The end of its log ({tmp_path / 'gateway.log'})" in str(late.value)
    with pytest.raises(StackError, match="--keep-logs keeps all of it"):
        async with running_stack(StackOptions(start_timeout_seconds=0.0)):
            pass
