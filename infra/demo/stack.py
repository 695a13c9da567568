"""The whole system as processes on this machine: `async with running_stack(options) as stack`."""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx2

from demo import embedded_redis, tls
from demo.network import Network
from demo.parts import (
    AGENT,
    BROKER,
    GATEWAY,
    MODULES,
    REDIS,
    USUAL_PORTS,
    Addresses,
    Secrets,
    environments,
)
from demo.ports import HOST, Ports
from demo.processes import Minder, PartProcess, stop_all
from demo.redis_users import ADMIN
from demo.tls import TlsOptions

STOP_GRACE_SECONDS: Final = 2.4
START_TIMEOUT_SECONDS: Final = 180.0
"""Generous: the first start on a busy machine compiles every module. A part that ends is noticed at once."""
READY_POLL_SECONDS: Final = 0.05

LogLevel = Literal["debug", "info", "warning", "error"]


class StackError(Exception):
    """The system cannot run; the message says which part, why, and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How to run it."""

    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    """Ports that must be these, by part."""
    usual_ports: bool = False
    """Prefer the documented ports for the others; else any free ones."""
    log_level: LogLevel = "info"
    logs: Path | None = None
    """Where logs go and stay; else into the private directory, which goes with the run."""
    tls: TlsOptions | None = None
    """Whether it speaks TLS, and how."""
    redis_url: str | None = None
    """A Redis that runs; else one is started."""
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Further environment variables, by part."""
    start_timeout_seconds: float = START_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Ready:
    """One part came up."""

    part: str
    url: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """These parts are still being waited for."""

    parts: tuple[str, ...]
    seconds: float


Progress = Callable[[Ready | Waiting], None]


@dataclass(frozen=True, slots=True)
class Stack:
    """A running system. Parts can be stopped and started again, on the same ports and with the same keys."""

    addresses: Addresses
    directory: Path
    processes: dict[str, PartProcess]
    redis_password: str | None = field(repr=False)
    start_timeout_seconds: float

    async def start(self, *names: str, progress: Progress = lambda _: None) -> None:
        """Start parts, and return when all of them are ready.

        Raises:
            StackError: one of them ended, or was not ready in time.
        """
        began = time.monotonic()
        waiting = {name: self._part(name) for name in names}
        for part in waiting.values():
            if not part.running:
                part.spawn()
        async with Network(self.addresses.ca).client(timeout_seconds=2.0) as client:
            while waiting:
                for name, part in list(waiting.items()):
                    if part.exit_code is not None:
                        raise StackError(self.explain_end(part))
                    if await self._is_ready(part, client):
                        del waiting[name]
                        progress(Ready(name, part.url, time.monotonic() - began))
                seconds = time.monotonic() - began
                if waiting and seconds > self.start_timeout_seconds:
                    raise StackError(await self._late(list(waiting.values()), client, seconds))
                if waiting:
                    progress(Waiting(tuple(waiting), seconds))
                    await asyncio.sleep(READY_POLL_SECONDS)

    async def stop(self, *names: str) -> None:
        """Stop parts as an operator would: SIGTERM first, SIGKILL after a grace."""
        await stop_all([self._part(name) for name in names], grace_seconds=STOP_GRACE_SECONDS)

    async def first_ended(self) -> PartProcess:
        """Wait until a part ends by itself, and return it."""
        while True:
            for part in self.processes.values():
                if not part.running:
                    return part
            await asyncio.sleep(0.2)

    def explain_end(self, part: PartProcess) -> str:
        """Return how a part ended, with the last lines of its log."""
        return f"{part.name} ended with exit code {part.exit_code}. {self._log_of(part)}"

    def _part(self, name: str) -> PartProcess:
        if name not in self.processes:
            raise StackError(f"{name} is not one of ours: {', '.join(self.processes)}")
        return self.processes[name]

    async def _is_ready(self, part: PartProcess, client: httpx2.AsyncClient) -> bool:
        if part.name == REDIS:
            port = urlsplit(self.addresses.redis).port or 0
            return await embedded_redis.answers(port, self.redis_password or "")
        with suppress(httpx2.HTTPError):
            return (await client.get(f"{part.url}/readyz")).status_code == 200
        return False

    async def _late(self, parts: list[PartProcess], client: httpx2.AsyncClient, seconds: float) -> str:
        names = ", ".join(part.name for part in parts)
        lines = [f"{names} not ready after {seconds:.0f} s:"]
        for part in parts:
            said = "no answer"
            with suppress(httpx2.HTTPError):
                said = (await client.get(f"{part.url}/readyz")).text[:500]
            lines.append(f"\n{part.name} (process {part.pid}, {part.url}): {said}. {self._log_of(part)}")
        return "\n".join(lines)

    def _log_of(self, part: PartProcess) -> str:
        # What lies in the private directory is gone when this is read.
        kept = "--keep-logs keeps all of it" if part.log.is_relative_to(self.directory) else part.log
        return f"The end of its log ({kept}):\n\n{part.tail()}"


@asynccontextmanager
async def running_stack(
    options: StackOptions | None = None, progress: Progress = lambda _: None
) -> AsyncGenerator[Stack]:
    """Start everything, and stop it all at the end; whatever happens, nothing stays behind.

    Raises:
        CertificatesError: those that were kept cannot be used.
        NoRedisError: there is no Redis to use or start.
        PortTakenError: a port that was asked for is in use.
        StackError: a part did not come up.
    """
    chosen = options or StackOptions()
    ports = Ports()
    directory = Path(tempfile.mkdtemp(prefix="delegant-demo-"))
    minder = Minder(directory)
    processes: dict[str, PartProcess] = {}
    try:
        stack = _composed(chosen, ports, directory, minder.group, processes)
        if REDIS in processes:
            await stack.start(REDIS, progress=progress)
        await stack.start(*(name for name in processes if name != REDIS), progress=progress)
        yield stack
    finally:
        try:
            await asyncio.shield(stop_all(list(processes.values()), grace_seconds=STOP_GRACE_SECONDS))
        finally:
            minder.close()
            ports.release()


def _composed(
    options: StackOptions, ports: Ports, directory: Path, group: int, processes: dict[str, PartProcess]
) -> Stack:
    """Lay out the run: ports, keys, environments. Starts nothing."""
    own_redis = options.redis_url is None
    server = embedded_redis.find_server() if own_redis else None
    numbers = {
        name: _port(ports, name, options)
        for name in (*MODULES, *((REDIS,) if own_redis else ()), *((AGENT,) if options.tls else ()))
    }
    passwords = embedded_redis.new_passwords(BROKER, GATEWAY) if own_redis else {}

    def redis_url(user: str) -> str:
        return options.redis_url or f"redis://{user}:{passwords[user]}@{HOST}:{numbers[REDIS]}/0"

    certificates = options.tls.certificates(directory) if options.tls else None
    addresses = Addresses.on(
        numbers,
        redis=redis_url(ADMIN),
        ca=certificates.authority if certificates else None,
        names=options.tls.names if options.tls else None,
    )
    secrets = Secrets.create(directory, redis_urls={user: redis_url(user) for user in (BROKER, GATEWAY)})
    logs = options.logs or directory
    logs.mkdir(parents=True, exist_ok=True)

    def add(name: str, arguments: tuple[str, ...], environment: Mapping[str, str], url: str) -> None:
        given = {**environment, **options.extra.get(name, {})}
        processes[name] = PartProcess(name, arguments, given, logs / f"{name}.log", url, group)

    if server is not None:
        configuration = embedded_redis.write_configuration(
            directory, port=numbers[REDIS], passwords=passwords
        )
        add(REDIS, (str(server), str(configuration)), {}, f"redis://{HOST}:{numbers[REDIS]}")
    modules = {**MODULES, AGENT: tls.MODULE}
    told = environments(addresses, secrets, numbers, directory=directory, log_level=options.log_level)
    if certificates is not None:
        told = tls.over_tls(told, addresses, certificates, log_level=options.log_level)
    for name, environment in told.items():
        add(name, (sys.executable, "-m", modules[name]), environment, addresses.here(name))
    return Stack(addresses, directory, processes, passwords.get(ADMIN), options.start_timeout_seconds)


def _port(ports: Ports, name: str, options: StackOptions) -> int:
    if name in options.ports:
        return ports.exactly(options.ports[name])
    return ports.preferably(USUAL_PORTS[name]) if options.usual_ports else ports.any()
