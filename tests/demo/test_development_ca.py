import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authcore.clock import system_clock
from authcore.tls import serving_context, trusting_context
from demo.development_ca import Certificates, CertificatesError, create, kept

PARTS = ("gateway", "authserver")


def accepted(certificates: Certificates, part: str, host: str) -> bool:
    """Whether a client that trusts the authority and the system's takes the part for the host."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting_context(certificates.authority).wrap_bio(there, back, server_hostname=host)
    server = serving_context(certificates.certificate(part), certificates.key(part)).wrap_bio(
        back, there, server_side=True
    )
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:
            return False
    return client.version() is not None


def constraints(certificates: Certificates) -> x509.NameConstraints:
    authority = x509.load_pem_x509_certificate(certificates.authority.read_bytes())
    extension = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert extension.critical
    return extension.value


def test_a_part_is_taken_for_its_own_name_and_for_loopback_only(tmp_path: Path) -> None:
    made = create(tmp_path / "tls", PARTS)
    for host in ("mcp.demo.example", "localhost", "127.0.0.1", "::1"):
        assert accepted(made, "gateway", host)
    for host in ("login.demo.example", "demo.example", "example.com", "127.0.0.2"):
        assert not accepted(made, "gateway", host)


def test_another_authority_of_the_demo_is_not_taken_for_this_one(tmp_path: Path) -> None:
    mine, other = create(tmp_path / "1", PARTS), create(tmp_path / "2", PARTS)
    other.authority.write_bytes(mine.authority.read_bytes())
    assert not accepted(other, "gateway", "localhost")


def test_the_authority_can_vouch_for_the_demo_and_loopback_only(tmp_path: Path) -> None:
    permitted = constraints(create(tmp_path / "tls", PARTS)).permitted_subtrees
    assert permitted is not None
    assert [str(name.value) for name in permitted] == [
        "demo.example",
        "localhost",
        "127.0.0.0/8",
        "::1/128",
    ]


def test_no_file_holds_the_key_of_the_authority_and_the_others_are_private(tmp_path: Path) -> None:
    made = create(tmp_path / "tls", PARTS)
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    keys = [path for path in made.directory.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(path.name for path in keys) == ["authserver-key.pem", "gateway-key.pem"]
    for path in keys:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert load_pem_private_key(path.read_bytes(), None).public_key() != authority.public_key()
    assert stat.S_IMODE(made.directory.stat().st_mode) == 0o700


def test_kept_certificates_are_the_same_the_next_time(tmp_path: Path) -> None:
    directory = tmp_path / "some" / "where"
    first = kept(directory, PARTS).authority.read_bytes()
    assert kept(directory, PARTS).authority.read_bytes() == first
    assert [path.name for path in directory.parent.iterdir()] == ["where"]


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text("a key of somebody's")
    with pytest.raises(CertificatesError, match=r"ca\.pem"):
        kept(tmp_path, PARTS)
    assert [path.name for path in tmp_path.iterdir()] == ["id_ed25519"]


def test_a_part_without_a_certificate_of_its_own_is_named(tmp_path: Path) -> None:
    kept(tmp_path / "tls", PARTS)
    with pytest.raises(CertificatesError, match="no usable certificate for stocks"):
        kept(tmp_path / "tls", (*PARTS, "stocks"))


def test_certificates_that_are_about_to_end_must_be_replaced_by_hand(tmp_path: Path) -> None:
    create(tmp_path / "tls", PARTS, now=lambda: system_clock() - 90 * 86_400 + 3600)
    with pytest.raises(CertificatesError, match="Remove the directory"):
        kept(tmp_path / "tls", PARTS)
