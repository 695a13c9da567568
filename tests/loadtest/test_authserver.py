import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.__main__ import main

KINDS = ["floor: HTTP alone", "metadata", "introspection, JSON", "introspection, JWT", "token exchange"]


@pytest.mark.skipif(
    sys.platform != "linux", reason="the CPU time of another process can be read on Linux only"
)
def test_a_small_run_measures_every_kind_of_request_against_real_servers(tmp_path: Path) -> None:
    sizes = ["--requests", "20", "--rounds", "2", "--connections", "3", "--tokens", "4"]
    command = [sys.executable, "-m", "loadtest", "authserver", "--json", "--directory", str(tmp_path), *sizes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    measurements = report["measurements"]
    assert [each["name"] for each in measurements] == KINDS
    assert measurements[0]["times_floor"] == 1
    for each in measurements:
        assert (each["requests"], each["rounds"]) == (40, 2)
        assert each["requests_per_second"] > 0
        assert each["cpu_milliseconds_per_request"] > 0
        assert each["requests_per_core_second"] > 0
    assert {"cores", "processor", "one ES256 verification", "Python", "SQLite", "uvicorn"} <= report[
        "machine"
    ].keys()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "authserver"),
        (["authserver", "--help"], 0, "--connections"),
        (["authserver", "--requests", "0"], 2, "above 0"),
        ([], 2, "SCENARIO"),
    ],
)
def test_the_command_line_explains_itself(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == status
    assert said in "".join(capsys.readouterr())
