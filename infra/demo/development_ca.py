"""An authority for one machine's demo, and a certificate for each part (RFC 5280).

Its private key signs once, when everything is made, and is then forgotten: no file ever holds it, so that
whoever trusts the authority trusts these certificates and no others, and they are good for the demo's own
names and loopback only.
"""

import ipaddress
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authcore.clock import Clock, system_clock
from authcore.tls import serving_context
from demo.keys import write_private
from demo.network import DOMAIN
from demo.parts import HOST_NAMES

LIFETIME: Final = timedelta(days=90)
LEAST: Final = timedelta(days=1)
"""How long kept certificates must be good for at least."""
CLOCKS_DIFFER: Final = timedelta(minutes=5)
AUTHORITY: Final = "ca.pem"

_ADDRESSES: Final = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_NETWORKS: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class CertificatesError(Exception):
    """The certificates that were to be used cannot be; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority and its certificates, as files in a directory of their own."""

    directory: Path

    @property
    def authority(self) -> Path:
        """What to trust."""
        return self.directory / AUTHORITY

    def certificate(self, part: str) -> Path:
        """Return the part's certificate."""
        return self.directory / f"{part}.pem"

    def key(self, part: str) -> Path:
        """Return the private key of the part's certificate, which only we can read."""
        return self.directory / f"{part}-key.pem"

    @property
    def until(self) -> datetime:
        """When they end, all together.

        Raises:
            CertificatesError: the authority is not there or not readable.
        """
        try:
            return x509.load_pem_x509_certificate(self.authority.read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            raise CertificatesError(
                f"{self.authority} cannot be used ({type(error).__name__}). "
                "Name a directory that is empty or not there."
            ) from None


def create(directory: Path, parts: Iterable[str], *, now: Clock = system_clock) -> Certificates:
    """Make an authority and a certificate for every part, in a new directory that only we can enter."""
    directory.mkdir(mode=0o700)
    made = Certificates(directory)
    key = generate_private_key(SECP256R1())
    began = _datetime(now())
    authority = _authority(key, began)
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for part in parts:
        own = generate_private_key(SECP256R1())
        certificate = _certificate(part, own, authority, key)
        made.certificate(part).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(made.key(part), _pem(own))
    return made


def kept(directory: Path, parts: tuple[str, ...]) -> Certificates:
    """Return the certificates kept in a directory; they are made if it is empty or not there.

    Raises:
        CertificatesError: the directory holds something else.
    """
    found = Certificates(directory.absolute())
    if directory.exists() and any(directory.iterdir()):
        _check(found, parts)
        return found
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = found.directory.with_name(f".{found.directory.name}.{token_hex(4)}")
    create(draft, parts)
    try:
        # In one go: a second demo finds all of it or nothing.
        draft.rename(found.directory)
    except OSError:
        shutil.rmtree(draft)
        _check(found, parts)
        return found
    return found


def _check(found: Certificates, parts: tuple[str, ...]) -> None:
    # Never replaced unasked: whoever trusted the authority must learn that there is another one.
    if found.until - _datetime(system_clock()) < LEAST:
        raise CertificatesError(
            f"The certificates in {found.directory} end on {found.until:%Y-%m-%d}. Remove the directory, "
            "start again, and trust the new authority."
        )
    for part in parts:
        try:
            serving_context(found.certificate(part), found.key(part))
        except ValueError as error:
            raise CertificatesError(
                f"{found.directory} holds no usable certificate for {part} ({error}). Name "
                "another directory, or remove this one: then a new authority is made there."
            ) from None


def _datetime(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _authority(key: EllipticCurvePrivateKey, began: datetime) -> x509.Certificate:
    # A name of its own for each: a browser that trusts several must not take one for the other.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Delegant demo, development only"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Delegant demo CA {token_hex(4)}"),
        ]
    )
    permitted = [x509.DNSName(DOMAIN), x509.DNSName("localhost"), *(x509.IPAddress(n) for n in _NETWORKS)]
    return (
        _builder(name, key, began - CLOCKS_DIFFER, began + LIFETIME)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    part: str, own: EllipticCurvePrivateKey, authority: x509.Certificate, key: EllipticCurvePrivateKey
) -> x509.Certificate:
    names = [x509.DNSName("localhost"), *(x509.IPAddress(address) for address in _ADDRESSES)]
    if part in HOST_NAMES:
        names.insert(0, x509.DNSName(HOST_NAMES[part]))
    return (
        _builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, part)]),
            own,
            authority.not_valid_before_utc,
            authority.not_valid_after_utc,
        )
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, key: EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
