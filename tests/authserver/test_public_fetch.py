"""Over real TLS: the connection goes to an address, the certificate has to be the host's."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from authcore.errors import TemporarilyUnavailable
from authserver.public_fetch import DEADLINE_SECONDS, FetchRefused, PublicFetcher, document_transport

BODY = b'{"client_id": "x"}'


def certificate(directory: Path, *names: x509.GeneralName) -> tuple[Path, Path]:
    """Write a self-signed certificate for these names and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "cert.pem", directory / "key.pem"
    certificate_file.write_bytes(made.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate_file, key_file


@asynccontextmanager
async def tls_server(certificate_file: Path, key_file: Path, seen: list[bytes]) -> AsyncGenerator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        writer.write(head.encode() + BODY)
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def fetching(ca_file: Path, *, allow_loopback: bool = True) -> AsyncGenerator[PublicFetcher]:
    async def resolve(*_: object) -> list[str]:
        return ["127.0.0.1"]

    fetcher = PublicFetcher(document_transport(ca_file), resolve, allow_loopback=allow_loopback)
    yield fetcher
    await fetcher.aclose()


async def test_the_certificate_is_checked_for_the_host_although_the_connection_goes_to_an_address(
    tmp_path: Path,
) -> None:
    files = certificate(tmp_path, x509.DNSName("agent.example"))
    seen: list[bytes] = []
    async with tls_server(*files, seen) as port, fetching(files[0]) as fetcher:
        document = await fetcher.fetch(f"https://agent.example:{port}/client.json?v=1")
        assert document.body == BODY
        assert seen[0].startswith(b"GET /client.json?v=1 HTTP/1.1\r\n")
        assert f"host: agent.example:{port}\r\n".encode() in seen[0].lower()
        # The same address under another name must not profit from the first connection.
        with pytest.raises(TemporarilyUnavailable):
            await fetcher.fetch(f"https://other.example:{port}/client.json")
    assert len(seen) == 1


@pytest.mark.attack("RFC 9525 §6.3", "answer for a client's host with a certificate of the address")
async def test_a_certificate_for_the_address_alone_is_not_enough(tmp_path: Path) -> None:
    files = certificate(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))
    seen: list[bytes] = []
    async with tls_server(*files, seen) as port, fetching(files[0]) as fetcher:
        with pytest.raises(TemporarilyUnavailable):
            await fetcher.fetch(f"https://agent.example:{port}/client.json")
    assert seen == []


async def test_without_the_allowance_nothing_connects_to_loopback(tmp_path: Path) -> None:
    files = certificate(tmp_path, x509.DNSName("agent.example"))
    seen: list[bytes] = []
    async with tls_server(*files, seen) as port, fetching(files[0], allow_loopback=False) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.fetch(f"https://agent.example:{port}/client.json")
    assert seen == []


@pytest.mark.attack("RFC 9110 §17.5", "hold requests open with a slow DNS server")
async def test_a_slow_resolver_does_not_hold_a_request_for_ever() -> None:
    async def never(*_: object) -> list[str]:
        await asyncio.Event().wait()
        return []

    assert DEADLINE_SECONDS == 5
    fetcher = PublicFetcher(document_transport(None), never, deadline_seconds=0)
    with pytest.raises(TemporarilyUnavailable):
        await fetcher.fetch("https://agent.example/client.json")
    await fetcher.aclose()
