import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from authcore.key_ring import base64url
from authcore.service import load_settings
from tests.support.issuer import ec_key
from token_broker.settings import Settings

KEY = base64url(b"k" * 32)
PRIVATE = json.dumps(ec_key("broker").as_dict(private=True))
CALLERS = json.dumps(
    {
        "mcp-gateway": {
            "jwks": {"keys": [ec_key("gateway").as_dict(private=False)]},
            "resource": "https://mcp.test/mcp",
            "audiences": ["https://api.demo.example"],
            "scopes": ["stocks/read"],
        }
    }
)
GOOD = {
    "BROKER_URL": "http://127.0.0.1:8081",
    "BROKER_ISSUER": "https://login.test",
    "BROKER_JWKS_URI": "https://login.test/jwks",
    "BROKER_INTROSPECTION_ENDPOINT": "https://login.test/introspect",
    "BROKER_TOKEN_ENDPOINT": "https://login.test/token",
    "BROKER_CLIENT_KEY": PRIVATE,
    "BROKER_REDIS_URL": "redis://:hunter2@127.0.0.1:6379/0",
    "BROKER_SEALING_KEY": KEY,
    "BROKER_CALLERS": CALLERS,
}
SECRETS = ("CLIENT_KEY", "REDIS_URL", "SEALING_KEY", "CALLERS")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit):
        load_settings(Settings)
    return capsys.readouterr().err.splitlines()


def test_the_environment_is_enough(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings(Settings)
    assert settings.port == 8081
    assert settings.callers["mcp-gateway"].scopes == {"stocks/read"}
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_secrets_may_be_in_files(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SECRETS:
        (tmp_path / name).write_text(GOOD[f"BROKER_{name}"] + "\n")
        environment.delenv(f"BROKER_{name}")
        environment.setenv(f"BROKER_{name}_FILE", str(tmp_path / name))
    settings = load_settings(Settings)
    assert settings.sealing_key.get_secret_value() == KEY
    assert settings.redis_url.get_secret_value() == GOOD["BROKER_REDIS_URL"]
    assert json.loads(settings.client_key.get_secret_value())["kid"] == "broker"
    assert list(settings.callers) == ["mcp-gateway"]


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_cannot_be_read_stops_the_start(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    environment.delenv(f"BROKER_{name}")
    environment.setenv(f"BROKER_{name}_FILE", str(tmp_path / "missing"))
    (line,) = complaints(capsys)
    assert line.startswith(f"BROKER_{name}: ")
    assert "FileNotFoundError" in line


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_twice_stops_the_start(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    environment.setenv(f"BROKER_{name}_FILE", str(tmp_path / "file"))
    (line,) = complaints(capsys)
    assert line.startswith(f"BROKER_{name}: ")


@pytest.mark.parametrize("name", GOOD)
def test_nothing_that_is_missing_has_a_default(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    environment.delenv(name)
    (line,) = complaints(capsys)
    assert line.startswith(f"{name}: ")


def caller(**changes: object) -> str:
    callers = json.loads(CALLERS)
    callers["mcp-gateway"] |= changes
    return json.dumps(callers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URL", "127.0.0.1:8081"),
        ("TOKEN_ENDPOINT", "http://login.test/token"),
        ("JWKS_URI", "file:///etc/passwd"),
        ("CLIENT_KEY", "hunter2"),
        ("CLIENT_KEY", '["hunter2"]'),
        ("CLIENT_KEY", json.dumps(ec_key().as_dict(private=False) | {"x_hint": "hunter2"})),
        ("REDIS_URL", "http://hunter2"),
        ("SEALING_KEY", "hunter2"),
        ("CALLERS", "hunter2"),
        ("CALLERS", "{}"),
        ("CALLERS", caller(jwks={"keys": []})),
        ("CALLERS", caller(jwks={"keys": [ec_key().as_dict(private=True)]})),
        ("CALLERS", caller(jwks={"keys": [ec_key().as_dict(private=False), {"kty": "oct", "k": "hunter2"}]})),
        ("CALLERS", caller(resource="")),
        ("CALLERS", caller(audiences=["a|b"])),
        ("CALLERS", caller(scopes=["a b"])),
        ("CALLERS", caller(scope=["hunter2"])),
        ("CACHE_LEEWAY_SECONDS", "-1"),
        ("PROFILE", "hunter3"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line_that_does_not_repeat_it(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(f"BROKER_{name}", value)
    (line,) = complaints(capsys)
    assert line.startswith(f"BROKER_{name}")
    assert "hunter2" not in line


def test_plain_http_is_possible_when_asked_for_and_on_loopback(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROKER_TOKEN_ENDPOINT", "http://127.0.0.1:8090/token")
    load_settings(Settings)
    environment.setenv("BROKER_TOKEN_ENDPOINT", "http://authserver:8090/token")
    environment.setenv("BROKER_ALLOW_PLAIN_HTTP", "true")
    assert load_settings(Settings).token_endpoint == "http://authserver:8090/token"


def test_secrets_do_not_show(environment: pytest.MonkeyPatch) -> None:
    shown = repr(load_settings(Settings))
    assert "hunter2" not in shown
    assert KEY not in shown
    assert json.loads(PRIVATE)["d"] not in shown


def test_a_profile_that_cannot_be_used_stops_the_start_with_its_file_and_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('extends = "curity"\n[exchange]\nscope = "all"\n')
    environment.setenv("BROKER_PROFILE", str(path))
    (line,) = complaints(capsys)
    assert line.startswith(f"BROKER_PROFILE: Value error, {path}:3: exchange.scope: Input should be 'send'")


def secret_profile(tmp_path: Path) -> str:
    path = tmp_path / "secret.toml"
    path.write_text('extends = "curity"\n[client]\nauthentication = "client_secret_post"\n')
    return str(path)


def test_with_a_client_secret_no_key_is_needed(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("BROKER_PROFILE", secret_profile(tmp_path))
    environment.delenv("BROKER_CLIENT_KEY")
    environment.setenv("BROKER_CLIENT_SECRET", "hunter2")
    assert "hunter2" not in repr(load_settings(Settings))


def test_a_profile_without_introspection_needs_no_endpoint_for_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROKER_PROFILE", "auth0")
    environment.delenv("BROKER_INTROSPECTION_ENDPOINT")
    load_settings(Settings)


@pytest.mark.parametrize(
    ("profile", "name"),
    [("secret", "BROKER_CLIENT_SECRET"), ("hydra", "BROKER_ASSERTION_KEY")],
)
def test_what_a_profile_needs_besides_has_no_default(
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    profile: str,
    name: str,
) -> None:
    environment.setenv("BROKER_PROFILE", secret_profile(tmp_path) if profile == "secret" else profile)
    (line,) = complaints(capsys)
    assert line.startswith(f"{name}: ")
