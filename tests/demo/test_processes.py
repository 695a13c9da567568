import asyncio
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import Minder, PartProcess, inherited_environment, stop_all
from tests.demo.running import is_running
from tests.support.eventually import eventually

SLEEPER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def minder(directory: Path) -> Iterator[Minder]:
    held = Minder(directory)
    yield held
    held.close()


def part(tmp_path: Path, minder: Minder, program: str, **environment: str) -> PartProcess:
    arguments = (sys.executable, "-c", program)
    return PartProcess(
        "part", arguments, environment, tmp_path / "part.log", "http://part.test", minder.group
    )


async def test_a_part_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path, minder: Minder) -> None:
    stubborn, polite = part(tmp_path, minder, STUBBORN), part(tmp_path, minder, SLEEPER)
    stubborn.spawn()
    polite.spawn()
    await eventually(lambda: stubborn.tail().count("up") == 2)
    await stop_all([stubborn, polite], grace_seconds=0.2)
    assert (stubborn.exit_code, polite.exit_code) == (-signal.SIGKILL, -signal.SIGTERM)
    assert stubborn.pid is None


async def test_a_part_can_be_started_again_and_appends_to_its_log(tmp_path: Path, minder: Minder) -> None:
    again = part(tmp_path, minder, "print('once')")
    for _ in range(2):
        again.spawn()
        assert await again.ended(5)
    assert again.exit_code == 0
    assert again.tail() == "once\nonce"


async def test_a_part_gets_its_own_variables_and_none_of_ours(
    tmp_path: Path, minder: Minder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_REDIS_URL", "somebody else's")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "handed on")
    program = "import os; print(*sorted(os.environ), sep=' ')"
    asked = part(tmp_path, minder, program, STOCKS_PORT="1")
    asked.spawn()
    assert await asked.ended(5)
    names = set(asked.tail().split())
    assert {"STOCKS_PORT", "OTEL_SERVICE_NAME", "PATH"} <= names
    assert "BROKER_REDIS_URL" not in names
    assert "BROKER_REDIS_URL" not in inherited_environment()


async def test_what_a_killed_run_started_ends_and_its_directory_goes(tmp_path: Path, directory: Path) -> None:
    run = textwrap.dedent(f"""
        import signal, sys
        from pathlib import Path
        from demo.processes import Minder, PartProcess
        minder = Minder(Path({str(directory)!r}))
        arguments = (sys.executable, "-c", {STUBBORN!r})
        part = PartProcess("part", arguments, {{}}, Path({str(tmp_path / "log")!r}), "", minder.group)
        part.spawn()
        print(part.pid, minder.group, flush=True)
        signal.pause()
    """)
    started = await asyncio.create_subprocess_exec(sys.executable, "-c", run, stdout=asyncio.subprocess.PIPE)
    assert started.stdout is not None
    pids = [int(word) for word in (await started.stdout.readline()).split()]
    assert all(is_running(pid) for pid in pids)
    started.kill()
    await started.wait()
    await eventually(lambda: not directory.exists() and not any(is_running(pid) for pid in pids))
