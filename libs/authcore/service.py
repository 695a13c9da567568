"""How every service is served: settings, limits, health, process life."""

import argparse
import asyncio
import gc
import json
import logging
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import uvicorn
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from pydantic_settings import BaseSettings, SettingsError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authcore.errors import TemporarilyUnavailable
from authcore.http_protocol import BoundedHeadProtocol
from authcore.telemetry import configure_tracing
from authcore.tls import serving_context, trusting_context

Check = Callable[[], Awaitable[None]]
"""Returns when a dependency can be used; raises `TemporarilyUnavailable` when not."""

MAX_HEADER_BYTES = 16 * 1024
BODY_TIMEOUT_SECONDS = 15.0


class ServiceSettings(BaseSettings):
    """What every service is told by its environment, besides its own settings."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65535, description="port to listen on")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    shutdown_grace_seconds: int = Field(
        default=20, ge=0, description="how long running requests may finish after SIGTERM"
    )
    backlog: int = Field(default=4096, ge=1, description="connections the kernel holds for us")
    tls_certificate_file: Path | None = Field(
        default=None,
        description="PEM of our certificate, with the intermediate ones after it; plain HTTP without",
    )
    tls_key_file: Path | None = Field(
        default=None, validate_default=True, description="PEM of its private key; both are read at start"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM of authorities to trust, besides the system's, in those we connect to"
    )
    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="where spans go (OTLP/HTTP); none are recorded without",
    )

    @field_validator("tls_key_file")
    @classmethod
    def _fits_its_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate: Path | None = info.data.get("tls_certificate_file")
        if (value is None) != (certificate is None):
            raise ValueError("a certificate and its key go together: set both files or neither")
        if certificate is not None and value is not None:
            serving_context(certificate, value)
        return value

    @field_validator("ca_file")
    @classmethod
    def _holds_authorities(cls, value: Path | None) -> Path | None:
        trusting_context(value)
        return value

    def serving_tls(self) -> ssl.SSLContext | None:
        """Return how we present ourselves, or `None` if we serve plain HTTP."""
        if self.tls_certificate_file is None or self.tls_key_file is None:
            return None
        return serving_context(self.tls_certificate_file, self.tls_key_file)


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S], **given: str) -> S:
    """Read settings from the environment, or end the process with one line for each that is missing or wrong.

    What is given goes before the environment. The values are never shown: one of them may be a secret.
    """
    try:
        return kind(**cast("dict[str, Any]", given))
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for problem in error.errors(include_input=False, include_url=False):
            name = prefix + "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        raise SystemExit(2) from None
    except SettingsError as error:
        # Its text names the field; its cause would show what could not be parsed.
        sys.stderr.write(f"{error}: it must be JSON\n")
        raise SystemExit(2) from None


class RequestLimits:
    """ASGI: refuses header blocks over 16 KiB (431), bodies that are too large (413) or too slow (408).

    What the server itself does with endless headers is `http_protocol.py`.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what is read of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
            await PlainTextResponse("Request header fields too large\n", 431)(scope, receive, send)
            return
        body = _BoundedBody(receive, self._max_body_bytes)
        answered = False

        async def watched(message: Message) -> None:
            nonlocal answered
            if body.refusal is None:
                await send(message)
            elif not answered:
                # Whatever the application makes of the interrupted read, this is the answer.
                answered = True
                await body.refusal(scope, receive, send)

        try:
            await self._app(scope, body.receive, watched)
        except _BodyRefusedError:
            await watched({"type": "http.response.start"})


class _BodyRefusedError(Exception):
    pass


class _BoundedBody:
    """Receives one request body, no more than so many bytes and in no more than so much time."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_SECONDS
        self._bytes = 0
        self._complete = False
        self.refusal: Response | None = None

    async def receive(self) -> Message:
        """Return the next message. After the body, waiting for a disconnect may last as long as it likes."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(408, "The request body did not arrive in time\n") from None
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._max_bytes:
            raise self._refused(413, "Request body too large\n")
        self._complete = not message.get("more_body", False)
        return message

    def _refused(self, status: int, text: str) -> _BodyRefusedError:
        self.refusal = PlainTextResponse(text, status, {"connection": "close"})
        return _BodyRefusedError()


def health_routes(checks: Mapping[str, Check]) -> list[Route]:
    """Return `/livez` (the process answers) and `/readyz` (200, or 503 naming what is missing)."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        state: dict[str, str] = {}
        for name, check in checks.items():
            try:
                await check()
                state[name] = "ok"
            except TemporarilyUnavailable as error:
                state[name] = error.reason
        ready = all(value == "ok" for value in state.values())
        return JSONResponse(state, 200 if ready else 503)

    return [Route("/livez", livez), Route("/readyz", readyz)]


def parse_no_arguments(program: str, description: str, kind: type[ServiceSettings]) -> None:
    """Answer `--help` with the settings and their environment variables; refuse any other argument."""
    argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        epilog=settings_help(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()


def settings_help(kind: type[BaseSettings]) -> str:
    """Return the lines of a `--help` that name the settings' environment variables."""
    prefix = kind.model_config.get("env_prefix", "")
    lines: list[str] = []
    for name, field in kind.model_fields.items():
        variable = str(field.validation_alias or prefix + name.upper())
        lines.append(f"  {variable}\n      {field.description or ''} ({_default(field)})")
    return "environment variables:\n" + "\n".join(lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, frozenset):
        return "default " + json.dumps(sorted(cast("frozenset[str]", value)))
    if value in (None, "", {}, ()) or isinstance(value, SecretStr):
        return "optional"
    return "default " + (json.dumps(to_jsonable_python(value)) if isinstance(value, tuple) else str(value))


def serve(app: ASGIApp, settings: ServiceSettings, *, service_name: str) -> None:
    """Serve until SIGTERM or SIGINT; then stop accepting and let running requests finish."""
    provider = configure_tracing(service_name, settings.otlp_endpoint)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # One line for each outbound request, with its URL: more than an operator wants to read.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # What start-up made lives as long as the process: keep it out of every later collection.
    gc.collect()
    gc.freeze()
    uvicorn.Server(server_config(app, settings)).run()
    if provider is not None:
        provider.shutdown()


def server_config(app: ASGIApp, settings: ServiceSettings) -> uvicorn.Config:
    """Return how every service is served."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        backlog=settings.backlog,
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        timeout_keep_alive=65,
        ssl_context_factory=_presenting(settings.serving_tls()),
        http=BoundedHeadProtocol,
        # Nobody speaks WebSocket here, and uvicorn's would log the headers of an upgrade, tokens included.
        ws="none",
        # Nothing here depends on who a proxy says the client is.
        proxy_headers=False,
    )


def _presenting(tls: ssl.SSLContext | None) -> Callable[[uvicorn.Config, object], ssl.SSLContext] | None:
    return None if tls is None else lambda _, __: tls
