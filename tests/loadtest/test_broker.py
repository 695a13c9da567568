import json
import subprocess
import sys

import pytest


@pytest.mark.skipif(
    sys.platform != "linux", reason="the CPU time of another process can be read on Linux only"
)
def test_a_small_run_measures_both_kinds_of_exchange_at_a_real_broker() -> None:
    command = [sys.executable, "-m", "loadtest", "broker", "--json", "--requests", "10", "--rounds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    measurements = json.loads(done.stdout)["measurements"]
    assert [each["name"] for each in measurements] == ["remembered", "asked for"]
    assert all((each["requests"], each["rounds"]) == (20, 2) for each in measurements)
    assert measurements[1]["times_floor"] > 1
