"""What the authorization server needs for a token exchange, an introspection and its metadata.

The real server runs on a real socket with its state on disk. Every request that authenticates carries an
assertion of its own (private_key_jwt, ES256), signed before the clock starts. The floor is the same HTTP
server with the least application there can be, which is sent the requests of the exchange.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

from joserfc.jwk import ECKey

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.oauth2_types import GRANT_TOKEN_EXCHANGE, MEDIA_TYPE_JWT, TOKEN_TYPE_ACCESS_TOKEN
from loadtest.connections import LoadError, drive
from loadtest.processes import ServerProcess, free_port, serving
from loadtest.report import Measurement, Round, as_json, as_table
from loadtest.scenario import Scenario, positive
from loadtest.seeding import CLIENT_ID, seeded_tokens

API: Final = "https://api.demo.example"
WARM_UP: Final = 200

_JWS_BEGIN: Final = b"eyJ"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One kind of request."""

    name: str
    server: ServerProcess
    requests: Callable[[int], list[bytes]]
    """Makes so many requests, each for one use."""
    answered_well: Callable[[bytes], bool]
    """Tells whether a body is what it has to be."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--requests", type=positive, default=4000, metavar="N", help="of each kind, a round (default: 4000)"
    )
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="(default: 5)")
    parser.add_argument(
        "--connections", type=positive, default=32, metavar="N", help="requests at a time (default: 32)"
    )
    parser.add_argument(
        "--tokens", type=positive, default=1000, metavar="N", help="delegations in use (default: 1000)"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="where to keep the state while it runs, on the disk in question (default: temporary)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")


def _run(arguments: argparse.Namespace) -> None:
    """Measure all kinds of requests in turns, and write the result to standard output.

    Raises:
        LoadError: an answer was wrong.
        ProcessError: a server did not start.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory)))
        targets = _targets(stack, directory, arguments.tokens)
        rounds: dict[str, list[Round]] = {target.name: [] for target in targets}
        for target in targets:
            _round(target, WARM_UP, arguments.connections)
        for number in range(arguments.rounds):
            for target in targets:
                sys.stderr.write(f"round {number + 1} of {arguments.rounds}: {target.name}\n")
                rounds[target.name].append(_round(target, arguments.requests, arguments.connections))
    measurements = [Measurement(name, tuple(measured)) for name, measured in rounds.items()]
    sys.stdout.write((as_json if arguments.json else as_table)(measurements) + "\n")


def _round(target: _Target, count: int, connections: int) -> Round:
    requests = target.requests(count)
    before = target.server.cpu_seconds()
    answered = asyncio.run(drive(target.server.port, requests, connections=connections))
    cpu_seconds = target.server.cpu_seconds() - before
    if not target.answered_well(answered.last_body):
        raise LoadError(f"{target.name}: unexpected answer {answered.last_body[:200]!r}")
    return Round(count, answered.seconds, cpu_seconds)


def _targets(stack: ExitStack, directory: Path, tokens: int) -> list[_Target]:
    """Start the servers and return all kinds of requests, the floor first."""
    key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": "load"}, private=True)
    bare_port, port = free_port(), free_port()
    issuer = f"http://127.0.0.1:{port}/oauth/v2/oauth-anonymous"
    state = directory / "state.sqlite"
    subject_tokens = asyncio.run(seeded_tokens(state, tokens, scope="stocks/read", audience=_mcp(port)))
    bare = stack.enter_context(
        serving("loadtest.bare", str(bare_port), port=bare_port, environment={}, log=directory / "bare.log")
    )
    environment = _environment(issuer, state, key)
    server = stack.enter_context(
        serving("authserver", port=port, environment=environment, log=directory / "authserver.log")
    )
    make = _Requests(issuer, ClientAssertionSigner(CLIENT_ID, key.as_dict(private=True), now=system_clock))
    presented = cycle(subject_tokens)
    return [
        _Target(
            name="floor: HTTP alone",
            server=bare,
            requests=lambda count: [make.exchange(next(presented)) for _ in range(count)],
            answered_well=bool,
        ),
        _Target(
            name="metadata",
            server=server,
            requests=lambda count: [make.metadata()] * count,
            answered_well=lambda body: _member(body, "issuer") == issuer,
        ),
        _Target(
            name="introspection, JSON",
            server=server,
            requests=lambda count: [make.introspection(next(presented)) for _ in range(count)],
            answered_well=lambda body: _member(body, "active") is True,
        ),
        _Target(
            name="introspection, JWT",
            server=server,
            requests=lambda count: [
                make.introspection(next(presented), accept=MEDIA_TYPE_JWT) for _ in range(count)
            ],
            answered_well=lambda body: body.startswith(_JWS_BEGIN),
        ),
        _Target(
            name="token exchange",
            server=server,
            requests=lambda count: [make.exchange(next(presented)) for _ in range(count)],
            answered_well=lambda body: str(_member(body, "access_token")).startswith("eyJ"),
        ),
    ]


class _Requests:
    """Makes requests to one authorization server."""

    def __init__(self, issuer: str, signer: ClientAssertionSigner) -> None:
        self._issuer = urlsplit(issuer)
        self._url = issuer
        self._signer = signer

    def metadata(self) -> bytes:
        return self._head("GET", f"/.well-known/oauth-authorization-server{self._issuer.path}") + b"\r\n"

    def introspection(self, token: str, accept: str = "application/json") -> bytes:
        return self._post("introspect", {"token": token}, accept)

    def exchange(self, subject_token: str) -> bytes:
        form = {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": subject_token,
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            "audience": API,
            "scope": "stocks/read",
        }
        return self._post("token", form, "application/json")

    def _post(self, endpoint: str, form: dict[str, str], accept: str) -> bytes:
        body = urlencode(form | self._signer.parameters(self._url)).encode()
        head = (
            self._head("POST", f"{self._issuer.path}/{endpoint}")
            + (
                f"accept: {accept}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
                f"content-length: {len(body)}\r\n\r\n"
            ).encode()
        )
        return head + body

    def _head(self, method: str, path: str) -> bytes:
        return f"{method} {path} HTTP/1.1\r\nhost: {self._issuer.netloc}\r\n".encode()


def _environment(issuer: str, state: Path, key: ECKey) -> dict[str, str]:
    port = urlsplit(issuer).port or 0
    client: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "jwks": {"keys": [key.as_dict(private=False)]},
        "grant_types": [GRANT_TOKEN_EXCHANGE],
        "introspection": True,
        "audiences": [API],
    }
    return {
        "AUTHSERVER_ISSUER": issuer,
        "AUTHSERVER_PORT": str(port),
        "AUTHSERVER_STATE_PATH": str(state),
        "AUTHSERVER_MCP_RESOURCE": _mcp(port),
        "AUTHSERVER_API_AUDIENCES": json.dumps([API]),
        "AUTHSERVER_CLIENTS": json.dumps([client]),
        "AUTHSERVER_LOG_LEVEL": "warning",
    }


def _mcp(port: int) -> str:
    return f"http://127.0.0.1:{port}/mcp"


def _member(body: bytes, name: str) -> object:
    document: object = json.loads(body)
    return cast("dict[str, object]", document).get(name) if isinstance(document, dict) else None


SCENARIO: Final = Scenario(
    summary="token exchange, introspection and metadata of the development authorization server",
    description=__doc__ or "",
    add_arguments=_add_arguments,
    run=_run,
)
