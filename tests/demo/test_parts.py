import json
import stat
from pathlib import Path

import pytest

from demo.embedded_redis import answers, new_passwords, write_configuration
from demo.parts import MODULES, Addresses, Secrets, environments
from demo.ports import Ports

PORTS = {"gateway": 1, "broker": 2, "stocks": 3, "authserver": 4}


@pytest.fixture
def told(tmp_path: Path) -> dict[str, dict[str, str]]:
    addresses = Addresses.on(PORTS, redis="redis://:p@127.0.0.1:5/0")
    urls = {part: f"redis://{part}:p@127.0.0.1:5/0" for part in ("broker", "gateway")}
    secrets = Secrets.create(tmp_path, redis_urls=urls)
    return environments(addresses, secrets, PORTS, directory=tmp_path, log_level="info")


def test_every_part_gets_its_own_variables_only(told: dict[str, dict[str, str]]) -> None:
    assert told.keys() == MODULES.keys()
    for part, variables in told.items():
        own = {name for name in variables if name.startswith(part.upper() + "_")}
        assert variables.keys() - own == {"PYTHONUNBUFFERED"}


def test_no_environment_holds_a_secret(told: dict[str, dict[str, str]], tmp_path: Path) -> None:
    everything = json.dumps(told)
    for file in ("broker-key.json", "gateway-key.json"):
        assert json.loads((tmp_path / file).read_text())["d"] not in everything
    for file in ("sealing-key", "state-key", "broker-redis-url", "gateway-redis-url", "admin-password"):
        assert (tmp_path / file).read_text() not in everything


def test_every_secret_is_a_private_file(told: dict[str, dict[str, str]], tmp_path: Path) -> None:
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        "admin-password",
        "broker-key.json",
        "broker-redis-url",
        "gateway-key.json",
        "gateway-redis-url",
        "operator-key.json",
        "sealing-key",
        "state-key",
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_redis_listens_on_loopback_and_its_users_have_passwords_that_no_file_shows(tmp_path: Path) -> None:
    passwords = new_passwords("broker", "gateway")
    path = write_configuration(tmp_path, port=6000, passwords=passwords)
    users = tmp_path / "users.acl"
    assert {"bind 127.0.0.1", "port 6000", f"aclfile {users}"} <= set(path.read_text().splitlines())
    assert [line.split()[:3] for line in users.read_text().splitlines()] == [
        ["user", "default", "off"],
        ["user", "admin", "on"],
        ["user", "broker", "on"],
        ["user", "gateway", "on"],
    ]
    assert not any(password in path.read_text() + users.read_text() for password in passwords.values())
    assert {stat.S_IMODE(file.stat().st_mode) for file in (path, users)} == {0o600}


async def test_a_redis_that_is_not_there_does_not_answer() -> None:
    ports = Ports()
    try:
        assert not await answers(ports.any(), "password")
    finally:
        ports.release()
