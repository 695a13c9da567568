"""Each service is a user of Redis that can do what the service does, and nothing else."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from demo.redis_users import TEMPLATE, Passwords, acl_file
from tests.support.redis_server import RedisServer

USERS = [line.split()[1] for line in TEMPLATE.read_text().splitlines()][1:]
SERVICES = ("broker", "gateway", "stocks", "ticker", "audit")
DANGEROUS = (
    *("KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "CONFIG GET *"),
    *("DEBUG SLEEP 0", "SCRIPT FLUSH", "SCRIPT LOAD x", "ACL LIST", "ACL SETUSER evil on", "MONITOR"),
    *("SHUTDOWN NOSAVE", "SAVE", "BGREWRITEAOF", "REPLICAOF NO ONE", "SYNC", "MODULE LIST", "CLIENT LIST"),
    *("CLIENT KILL TYPE normal", "SLOWLOG GET", "CLUSTER RESET", "SUBSCRIBE x", "PUBLISH x y"),
    *("MIGRATE h 1 k 0 1", "DUMP k", "RESTORE k 0 v", "OBJECT ENCODING k"),
)
KEYS = {
    "broker": (
        *("{d:x}:tokens", "{d:x}:revoked", "{p:x}", "{j:x}", "{s:x}", "flights", "{flights}:x"),
        *("delegations", "{delegations}:pending", "{delegations}:all"),
    ),
    "gateway": (
        *("delegations", "{dpop:x}", "approvals:x", "approvals:of:x", "limit:x", "decisions"),
        *("prices.USA", "{prices.USA}:latest"),
    ),
    "stocks": ("stocks:{x}:orders", "stocks:quotes:{x}", "delegations"),
    "ticker": ("prices.USA", "{prices.USA}:latest", "{ticker}:lease", "delegations"),
    "audit": ("decisions",),
}
"""Whoever has a Redis asks it for `delegations` to see whether it is there."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    file.write_text(acl_file({user: f"password of {user}" for user in USERS}))
    server = RedisServer(arguments=("--aclfile", str(file)))
    server.start()
    yield server
    server.discard()


def client(server: RedisServer, user: str) -> Any:
    return cast(Any, Redis(port=server.port, username=user, password=f"password of {user}"))


def denied(redis: Any, command: str) -> bool:
    try:
        redis.execute_command(*command.split())
    except NoPermissionError:
        return True
    except ResponseError:
        # Wrong for another reason: it was let through.
        return False
    return False


def test_nobody_gets_in_without_a_name(server: RedisServer) -> None:
    with cast(Any, Redis(port=server.port)) as redis, pytest.raises(AuthenticationError):
        redis.execute_command("GET", "x")


@pytest.mark.parametrize("user", SERVICES)
def test_no_service_may_look_around_or_manage(server: RedisServer, user: str) -> None:
    with client(server, user) as redis:
        assert [command for command in DANGEROUS if not denied(redis, command)] == []


@pytest.mark.parametrize("user", SERVICES)
def test_a_service_reaches_its_own_keys_and_nobody_elses(server: RedisServer, user: str) -> None:
    own = KEYS[user]
    with client(server, user) as redis:
        allowed = {key for keys in KEYS.values() for key in keys if not denied(redis, f"EXISTS {key}")}
    assert allowed == set(own)


def test_the_gateway_reads_revocations_and_announces_none(server: RedisServer) -> None:
    with client(server, "gateway") as redis:
        assert redis.xread({"delegations": "0"}) == []
        for command in (
            "XTRIM delegations MAXLEN 0",
            "UNLINK delegations",
            "RENAME delegations x",
            "XGROUP CREATE delegations g 0",
        ):
            assert denied(redis, command), command


def test_scripts_may_do_no_more_than_who_runs_them(server: RedisServer) -> None:
    with client(server, "broker") as redis:
        for script in ("return redis.call('KEYS', '*')", "return redis.call('GET', 'approvals:x')"):
            with pytest.raises(ResponseError, match=r"permission|can't (run|access)"):
                redis.execute_command("EVAL", script, 0)


def test_every_line_of_the_template_has_its_password_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in USERS:
        monkeypatch.setenv(f"{user.upper()}_PASSWORD", "secret")
    assert sorted(Passwords().given()) == sorted(USERS)
    lines = acl_file(Passwords().given()).splitlines()
    assert [line.split()[1] for line in lines] == ["default", *Passwords().given()]
    assert all(" #" in line and len(line.split(" #")[1].split()[0]) == 64 for line in lines[1:])


def test_the_configuration_can_be_loaded_and_evicts_nothing(tmp_path: Path) -> None:
    server = RedisServer(
        arguments=("--include", str(TEMPLATE.with_name("redis.conf")), "--dir", str(tmp_path))
    )
    server.start()
    with cast(Any, Redis(port=server.port)) as redis:
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert redis.config_get("appendonly") == {"appendonly": "yes"}
    server.discard()
