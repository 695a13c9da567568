"""A service speaks TLS with its own certificate, and trusts an authority that it is told of."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from starlette.applications import Starlette

from authcore.service import ServiceSettings, load_settings, server_config
from demo.development_ca import Certificates, create


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return create(tmp_path_factory.mktemp("tls") / "made", ("gateway", "stocks"))


def told(capsys: pytest.CaptureFixture[str], **given: Path) -> str:
    with pytest.raises(SystemExit) as end:
        load_settings(ServiceSettings, **{name: str(path) for name, path in given.items()})
    assert end.value.code == 2
    return capsys.readouterr().err


def test_without_a_certificate_a_service_speaks_plain_http() -> None:
    config = server_config(Starlette(), ServiceSettings())
    config.load()
    assert not config.is_ssl


def test_with_a_certificate_a_service_speaks_nothing_older_than_tls_1_2(made: Certificates) -> None:
    settings = ServiceSettings(
        tls_certificate_file=made.certificate("stocks"), tls_key_file=made.key("stocks")
    )
    config = server_config(Starlette(), settings)
    config.load()
    assert config.ssl is not None
    assert config.ssl.minimum_version.name == "TLSv1_2"


def test_a_certificate_and_its_key_go_together(
    made: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "go together" in told(capsys, tls_certificate_file=made.certificate("stocks"))
    assert "go together" in told(capsys, tls_key_file=made.key("stocks"))


def test_the_key_of_another_certificate_stops_the_start(
    made: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(capsys, tls_certificate_file=made.certificate("stocks"), tls_key_file=made.key("gateway"))
    assert "TLS_KEY_FILE" in said
    assert "MISMATCH" in said


def test_a_file_that_is_missing_or_something_else_stops_the_start(
    made: Certificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, missing, other = made.certificate("stocks"), tmp_path / "missing", tmp_path / "other"
    other.write_text("nothing")
    assert "cannot be read" in told(capsys, tls_certificate_file=certificate, tls_key_file=missing)
    assert "not a PEM" in told(capsys, tls_certificate_file=certificate, tls_key_file=other)
    assert "cannot be read" in told(capsys, ca_file=missing)
    assert "no PEM certificate" in told(capsys, ca_file=other)


def test_an_encrypted_key_stops_the_start_instead_of_asking_for_its_password(
    made: Certificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = load_pem_private_key(made.key("stocks").read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    )
    said = told(capsys, tls_certificate_file=made.certificate("stocks"), tls_key_file=locked)
    assert "encrypted" in said
