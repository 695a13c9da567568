"""TLS of a service: its own certificate, and which authorities it trusts besides the system's (RFC 8446)."""

import ssl
from pathlib import Path


def serving_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return how to present this certificate. TLS 1.2 is the oldest version that is spoken.

    Args:
        certificate_file: PEM, our certificate first and the intermediate ones after it.
        key_file: PEM, its private key, not encrypted.

    Raises:
        ValueError: a file cannot be read or holds something else, or the key is another certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password function OpenSSL would ask on the terminal, and a service would wait forever.
        context.load_cert_chain(certificate_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError(f"not a PEM certificate and its key: {error.reason or 'no PEM'}") from None
    except OSError as error:
        raise ValueError(f"a file cannot be read: {type(error).__name__}") from None
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def trusting_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return how to check whom we connect to: by the system's authorities, and those in the file.

    Raises:
        ValueError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"holds no PEM certificate: {error.reason or 'no PEM'}") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {type(error).__name__}") from None
    return context
