"""What the token broker needs for an exchange: one it has to ask for, and one it remembers.

Broker, development authorization server and Redis are real, on real sockets, the broker on a core of its own
where there are two. Asked for: each request presents a subject token that was never seen, so the broker
introspects and exchanges it. Remembered: the same tokens again. Each request has an assertion of its own.
"""

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from joserfc.jwk import ECKey

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_ACCESS_TOKEN
from demo.embedded_redis import NoRedisError, find_server
from loadtest.connections import LoadError, drive
from loadtest.processes import ProcessError, ServerProcess, free_port, serving
from loadtest.report import Measurement, Round, as_json, as_table
from loadtest.scenario import Scenario, positive
from loadtest.seeding import CLIENT_ID, seeded_tokens

API: Final = "https://api.demo.example"
GATEWAY: Final = "mcp-gateway"


@dataclass(frozen=True, slots=True)
class _Addresses:
    """Where everything is."""

    authserver: int
    broker: int
    redis: int

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.authserver}/oauth/v2/oauth-anonymous"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.broker}"

    @property
    def mcp(self) -> str:
        return f"http://127.0.0.1:{self.authserver}/mcp"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    sizes = {"requests": (500, "of each kind, a round"), "rounds": (5, ""), "connections": (32, "at a time")}
    for name, (default, said) in sizes.items():
        parser.add_argument(
            f"--{name}", type=positive, default=default, metavar="N", help=f"{said} (default: %(default)s)"
        )
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")


def _run(arguments: argparse.Namespace) -> None:
    """Measure both kinds in turns, and write the result to standard output.

    Raises:
        LoadError: an answer was wrong.
        ProcessError: a server did not start.
    """
    count, connections = arguments.requests, arguments.connections
    addresses = _Addresses(free_port(), free_port(), free_port())
    key, own_key = _key("gateway"), _key("broker")
    signer = ClientAssertionSigner(GATEWAY, key.as_dict(private=True), now=system_clock)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        seeded = seeded_tokens(
            directory / "state.sqlite", count * arguments.rounds, scope="stocks/read", audience=addresses.mcp
        )
        tokens = iter(asyncio.run(seeded))
        stack.enter_context(_redis(addresses.redis, directory))
        told = _authserver(addresses, directory, own_key)
        stack.enter_context(
            serving(
                "authserver", port=addresses.authserver, environment=told, log=directory / "authserver.log"
            )
        )
        broker = stack.enter_context(
            serving(
                "token_broker",
                port=addresses.broker,
                environment=_broker(addresses, key, own_key),
                log=directory / "broker.log",
            )
        )
        remembered, asked = list[Round](), list[Round]()
        for number in range(arguments.rounds):
            sys.stderr.write(f"round {number + 1} of {arguments.rounds}\n")
            fresh = list(islice(tokens, count))
            for rounds in (asked, remembered):
                rounds.append(
                    _round(broker, [_request(addresses, signer, one) for one in fresh], connections)
                )
    measurements = [Measurement("remembered", tuple(remembered)), Measurement("asked for", tuple(asked))]
    sys.stdout.write((as_json if arguments.json else as_table)(measurements) + "\n")


def _round(broker: ServerProcess, requests: Sequence[bytes], connections: int) -> Round:
    before = broker.cpu_seconds()
    answered = asyncio.run(drive(broker.port, requests, connections=connections))
    cpu_seconds = broker.cpu_seconds() - before
    if b'"access_token":"eyJ' not in answered.last_body:
        raise LoadError(f"unexpected answer {answered.last_body[:200]!r}")
    return Round(len(requests), answered.seconds, cpu_seconds)


def _request(addresses: _Addresses, signer: ClientAssertionSigner, token: str) -> bytes:
    form = {
        "grant_type": GRANT_TOKEN_EXCHANGE,
        "subject_token": token,
        "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
        "audience": API,
        "scope": "stocks/read",
    }
    body = urlencode(form | signer.parameters(addresses.url)).encode()
    head = (
        f"POST /token HTTP/1.1\r\nhost: {urlsplit(addresses.url).netloc}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def _redis(port: int, directory: Path) -> Generator[None]:
    try:
        server = find_server()
    except NoRedisError as error:
        raise ProcessError(str(error)) from None
    options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory), "--save", "")
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen([server, *options], stdout=log, stderr=log)  # noqa: S603  our own server
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": kid}, private=True)


def _public(key: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False)]}


def _authserver(addresses: _Addresses, directory: Path, key: ECKey) -> dict[str, str]:
    client = {
        "client_id": CLIENT_ID,
        "jwks": _public(key),
        "grant_types": [GRANT_TOKEN_EXCHANGE],
        "introspection": True,
        "audiences": [API],
        "actors": [GATEWAY],
    }
    return {
        "AUTHSERVER_ISSUER": addresses.issuer,
        "AUTHSERVER_PORT": str(addresses.authserver),
        "AUTHSERVER_STATE_PATH": str(directory / "state.sqlite"),
        "AUTHSERVER_MCP_RESOURCE": addresses.mcp,
        "AUTHSERVER_API_AUDIENCES": json.dumps([API]),
        "AUTHSERVER_CLIENTS": json.dumps([client]),
        "AUTHSERVER_LOG_LEVEL": "warning",
    }


def _broker(addresses: _Addresses, key: ECKey, own_key: ECKey) -> dict[str, str]:
    caller = {
        "jwks": _public(key),
        "resource": addresses.mcp,
        "audiences": [API],
        "scopes": ["stocks/read"],
    }
    return {
        "BROKER_URL": addresses.url,
        "BROKER_PORT": str(addresses.broker),
        "BROKER_ISSUER": addresses.issuer,
        "BROKER_JWKS_URI": addresses.issuer + "/jwks",
        "BROKER_INTROSPECTION_ENDPOINT": addresses.issuer + "/introspect",
        "BROKER_TOKEN_ENDPOINT": addresses.issuer + "/token",
        "BROKER_CLIENT_ID": CLIENT_ID,
        "BROKER_CLIENT_KEY": json.dumps(own_key.as_dict(private=True)),
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{addresses.redis}/0",
        "BROKER_REDIS_TIMEOUT_SECONDS": "10",
        "BROKER_SEALING_KEY": secrets.token_urlsafe(32),
        "BROKER_CALLERS": json.dumps({GATEWAY: caller}),
        "BROKER_LOG_LEVEL": "warning",
    }


SCENARIO: Final = Scenario(
    summary="exchanges at the token broker: asked for, and remembered",
    description=__doc__ or "",
    add_arguments=_add_arguments,
    run=_run,
)
