import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from authserver.__main__ import main, may_bind
from authserver.database import open_database
from authserver.policy import POLICY, Policy, ScopePolicy
from authserver.schema import sweep
from authserver.settings import Settings
from tests.authserver.server import ISSUER, AuthServer, public_jwks, settings
from tests.support.issuer import ec_key


@pytest.mark.requirement("issuer-exact")
@pytest.mark.parametrize(
    "issuer",
    [
        "http://127.0.0.1:8090/",
        "http://127.0.0.1:8090/oauth/",
        "http://127.0.0.1:8090//x",
        "http://127.0.0.1:8090/?x",
        "http://127.0.0.1:8090/#x",
        "http://127.0.0.1:8090/{x}",
        "http://user@127.0.0.1:8090",
        "ftp://127.0.0.1",
        "127.0.0.1:8090",
    ],
)
def test_an_issuer_that_cannot_be_compared_exactly_is_refused(tmp_path: Path, issuer: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path / "x", ec_key(), issuer=issuer)


@pytest.mark.parametrize(
    "client",
    [
        {"client_id": "x"},
        {"client_id": "x", "jwks": public_jwks(ec_key()), "audiences": ["https://unknown.example"]},
        {"client_id": "x", "jwks": public_jwks(ec_key()), "token_endpoint_auth_method": "none"},
        {"client_id": "x", "token_endpoint_auth_method": "client_secret_basic"},
        {"client_id": "x", "token_endpoint_auth_method": "none", "introspection": True, "grant_types": []},
        {"client_id": "x", "token_endpoint_auth_method": "none"},
        {
            "client_id": "x",
            "token_endpoint_auth_method": "client_secret_basic",
            "client_secret": "x",
            "grant_types": ["client_credentials"],
        },
        {"client_id": "", "jwks": public_jwks(ec_key())},
        {"client_id": "x", "jwks": public_jwks(ec_key()), "grant_types": [], "actors": ["y"]},
        {"client_id": "x", "jwks": public_jwks(ec_key()), "typo": 1},
    ],
)
def test_a_client_that_cannot_work_is_refused_at_start(tmp_path: Path, client: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path / "x", ec_key(), clients=[client])


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTHSERVER_ISSUER", ISSUER)
    monkeypatch.setenv("AUTHSERVER_STATE_PATH", str(tmp_path / "state.sqlite"))
    monkeypatch.setenv("AUTHSERVER_MCP_RESOURCE", "http://127.0.0.1:8080/mcp")
    monkeypatch.setenv("AUTHSERVER_API_AUDIENCES", '["https://api.demo.example"]')
    loaded = Settings()  # pyright: ignore[reportCallIssue]  the environment gives the rest
    assert loaded.port == 8090
    assert [user.region for user in loaded.users] == ["USA", "Europe"]


def test_only_loopback_is_bound_without_the_flag() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert may_bind(host, acknowledged=False)
    for host in ("192.168.1.10", "::", "authserver", ""):
        assert not may_bind(host, acknowledged=False)
        assert may_bind(host, acknowledged=True)


def test_a_start_on_another_address_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, value in {
        "AUTHSERVER_ISSUER": ISSUER,
        "AUTHSERVER_STATE_PATH": str(tmp_path / "state.sqlite"),
        "AUTHSERVER_MCP_RESOURCE": "http://127.0.0.1:8080/mcp",
        "AUTHSERVER_API_AUDIENCES": '["https://api.demo.example"]',
        "AUTHSERVER_HOST": "192.168.1.10",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["authserver"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--i-know-this-is-a-dev-as" in capsys.readouterr().err
    assert not (tmp_path / "state.sqlite").exists()


def test_help_lists_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["authserver", "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        if name != "otlp_endpoint":
            assert f"AUTHSERVER_{name.upper()}" in shown


def test_policy_of_several_scopes_is_the_strictest_of_each() -> None:
    policy = Policy(
        scopes={
            "a": ScopePolicy(description="A", purpose="p", access_token_seconds=60, consent_required=False),
            "b": ScopePolicy(description="B", purpose="q", assurance_level=0),
        },
        default_scope=frozenset({"a"}),
    )
    terms = policy.terms(frozenset({"a", "b"}), "none")
    assert terms.access_token_seconds == 60
    assert terms.purpose == "p q"
    assert terms.assurance_level == 0
    assert terms.consent_required
    assert not policy.terms(frozenset({"a"}), "none").consent_required


def test_the_policy_for_reading_stocks() -> None:
    terms = POLICY.terms(frozenset({"stocks/read"}), "client_secret_basic")
    assert (terms.access_token_seconds, terms.client_type, terms.assurance_level) == (900, "mcp", 1)
    assert terms.consent_required
    assert POLICY.terms(frozenset({"stocks/read"}), "private_key_jwt").assurance_level == 2
    assert POLICY.terms(frozenset({"stocks/read", "stocks/trade"}), "none").access_token_seconds == 300
    assert [name for name, scope in POLICY.scopes.items() if scope.without_user] == ["stocks/read"]
    assert POLICY.agent_grant_types == {"authorization_code"}


async def test_what_can_no_longer_matter_is_swept_away_and_the_rest_stays(
    server: AuthServer,
) -> None:
    token = await server.token()
    async with open_database(server.state_files()[0]) as database:
        await sweep(database, server.clock())
        assert (await server.introspect(token)).json()["active"] is True
        await sweep(database, server.clock() + 2 * 24 * 3600)
        for table in (
            "access_tokens",
            "authorization_codes",
            "browser_sessions",
            "mails",
            "client_assertions",
        ):
            assert await database.all(f"SELECT * FROM {table}") == []  # noqa: S608  our own names
        for table, kept in {"delegations": 1, "consents": 1, "clients": 1, "signing_keys": 2}.items():
            assert len(await database.all(f"SELECT * FROM {table}")) == kept  # noqa: S608
