from pathlib import Path

import pytest

from demo.options import parse
from demo.tls import TlsOptions


def test_without_options_it_tells_the_story_and_stays_up() -> None:
    options = parse([])
    assert (options.once, options.story, options.state, options.ports) == (False, True, None, {})


def test_ports_are_given_by_part(tmp_path: Path) -> None:
    options = parse(["--gateway-port", "9000", "--redis-port=9001", "--state", str(tmp_path / "s.json")])
    assert options.ports == {"gateway": 9000, "redis": 9001}
    assert options.stack(redis_url=None).usual_ports


def test_host_names_and_kept_certificates_turn_tls_on(tmp_path: Path) -> None:
    assert parse([]).tls is None
    assert parse(["--tls"]).tls == TlsOptions()
    assert parse(["--hosts"]).tls == TlsOptions(host_names=True)
    assert parse(["--ca", str(tmp_path)]).tls == TlsOptions(ca=tmp_path)


def test_settings_of_single_parts_go_to_their_part() -> None:
    given = [
        "--set",
        "AUTHSERVER_DPOP_NONCES=true",
        "--set=GATEWAY_MEMORY_SECONDS=0",
        "--set",
        "STOCKS_A=b=c",
    ]
    assert parse(given).stack(redis_url=None).extra == {
        "authserver": {"AUTHSERVER_DPOP_NONCES": "true"},
        "gateway": {"GATEWAY_MEMORY_SECONDS": "0"},
        "stocks": {"STOCKS_A": "b=c"},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gateway-port", "0"],
        ["--gateway-port", "http"],
        ["--gateway-port", "9000", "--stocks-port", "9000"],
        ["--once", "--no-story"],
        ["--log-level", "loud"],
        ["extra"],
        ["--set", "AUTHSERVER_PORT"],
        ["--set", "PATH=/tmp"],
        ["--set", "authserver_port=1"],
    ],
)
def test_a_wrong_option_ends_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "usage: python -m demo" in capsys.readouterr().err


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = capsys.readouterr().out
    for option in (
        "--once",
        "--no-story",
        "--state",
        "--keep-logs",
        "--log-level",
        "--gateway-port",
        "--tls",
        "--hosts",
        "--ca",
        "--set",
        "REDIS_URL",
    ):
        assert option in shown
