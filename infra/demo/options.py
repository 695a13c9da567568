"""The command line of `python -m demo`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from demo.parts import AGENT, AUTHSERVER, BROKER, GATEWAY, HOST_NAMES, MODULES, REDIS, STOCKS, USUAL_PORTS
from demo.stack import LogLevel, StackOptions
from demo.tls import TlsOptions

DESCRIPTION = """\
Runs the whole system on this machine, each part as a process of its own on loopback: Redis, a development
authorization server, the token broker, the stocks API and the MCP gateway. Then a scripted agent goes the
whole way for two users, and shows what went over the wire. Keys, passwords and data live in a
private temporary directory and are gone with the run. Ctrl-C ends everything."""

EPILOG = """\
environment variables:
  REDIS_URL   use this Redis instead of starting one (redis://user:password@host:port/0)
  NO_COLOR    no colours
  OTEL_*      handed on to every part: OTEL_EXPORTER_OTLP_ENDPOINT turns tracing on

exit status: 0 done, or ended by Ctrl-C while running; 1 something was not as it must be;
2 wrong usage; 130 ended before it was up."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    once: bool
    story: bool
    state: Path | None
    ports: dict[str, int]
    logs: Path | None
    log_level: LogLevel
    tls: TlsOptions | None
    extra: dict[str, dict[str, str]]
    """Settings of single parts."""

    def stack(self, *, redis_url: str | None) -> StackOptions:
        """Return how to run the system."""
        return StackOptions(
            ports=self.ports,
            usual_ports=True,
            log_level=self.log_level,
            logs=self.logs,
            tls=self.tls,
            redis_url=redis_url,
            extra=self.extra,
        )


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options, or end the process with a usage message."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="stop after the story instead of staying up")
    parser.add_argument("--no-story", action="store_true", help="start the system only")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="write where everything is, as JSON, once all is ready"
    )
    parser.add_argument(
        "--keep-logs",
        type=Path,
        metavar="DIR",
        help="write the logs there instead of the temporary directory",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="of the services (default: info)",
    )
    parser.add_argument(
        "--tls", action="store_true", help="speak TLS everywhere, with an authority made for this run"
    )
    parser.add_argument(
        "--hosts",
        action="store_true",
        help=f"be known as {', '.join(HOST_NAMES.values())}, over TLS; a browser needs a line in /etc/hosts",
    )
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="DIR",
        help="keep the certificates there, over TLS, so that a browser has to be told once whom to trust",
    )
    for part in (GATEWAY, BROKER, STOCKS, AUTHSERVER, REDIS, AGENT):
        parser.add_argument(
            f"--{part}-port",
            type=_port,
            metavar="PORT",
            help=f"must be this one (default: {USUAL_PORTS[part]} if it is free, else any)",
        )
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of one part, such as AUTHSERVER_ACCESS_TOKEN_LIFETIME_SECONDS=30; may be repeated",
    )
    given = parser.parse_args(arguments)
    values = cast("dict[str, int | None]", vars(given))
    ports = {part: port for part in USUAL_PORTS if (port := values[f"{part}_port"]) is not None}
    if len(set(ports.values())) != len(ports):
        parser.error("two parts cannot have the same port")
    if given.once and given.no_story and given.state is None:
        parser.error("--once with --no-story would do nothing")
    return Options(
        once=given.once,
        story=not given.no_story,
        state=given.state,
        ports=ports,
        logs=given.keep_logs,
        log_level=given.log_level,
        tls=TlsOptions(given.hosts, given.ca) if given.tls or given.hosts or given.ca else None,
        extra=_by_part(given.set),
    )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name.partition("_")[0].lower() not in MODULES or not name.isupper():
        parts = ", ".join(f"{part.upper()}_…" for part in MODULES)
        raise argparse.ArgumentTypeError(f"NAME=VALUE, and the names are {parts}")
    return name, value


def _by_part(settings: Sequence[tuple[str, str]]) -> dict[str, dict[str, str]]:
    parts: dict[str, dict[str, str]] = {}
    for name, value in settings:
        parts.setdefault(name.partition("_")[0].lower(), {})[name] = value
    return parts


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is a number between 1 and 65535")
    return int(text)
