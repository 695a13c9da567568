"""Where Redis is and how it is reached, in one URL: a single node, behind Sentinels, or a Cluster.

| URL | |
|---|---|
| `redis://user:password@host:6379/0` | one node |
| `unix:///run/redis.sock` | one node on this machine |
| `redis+sentinel://user:password@host1:26379,host2/mymaster/0` | the master that Sentinels name |
| `redis+cluster://user:password@host1:6379,host2` | the Cluster that these nodes belong to |

With `rediss` for `redis` all of it goes over TLS. Credentials are those of Redis; Sentinels that have some of
their own get them as `?sentinel_username=…&sentinel_password=…`.
"""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

Topology = Literal["single", "sentinel", "cluster"]

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_SCHEMES: Final[dict[str, Topology]] = {
    "redis": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
_OPTIONS: Final[dict[Topology, frozenset[str]]] = {
    "single": frozenset(),
    "sentinel": frozenset({"sentinel_username", "sentinel_password"}),
    "cluster": frozenset(),
}
_NODE: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are there: an ACL user, or the default user's password alone."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedisLocation:
    """What a URL says."""

    topology: Topology
    nodes: tuple[tuple[str, int], ...] = ()
    """The node; the Sentinels; or some nodes of the Cluster."""
    tls: bool = False
    credentials: Credentials = Credentials()
    database: int = 0
    path: str | None = None
    """The socket, instead of a node."""
    master: str = ""
    """What the Sentinels call it."""
    sentinel_credentials: Credentials = Credentials()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: whom to believe besides those whom the system believes, and who we are."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """Return if all of them can be used.

        Raises:
            ValueError: one cannot be read, or they do not belong together.
        """
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key are given together")
        try:
            context = ssl.create_default_context(cafile=self.authorities)
            if self.certificate is not None:
                # An empty password: one that is asked for at the terminal would hold up the start.
                context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            # An `SSLError` is an `OSError`. Only its kind: nothing of a key may be shown.
            raise ValueError(f"cannot be used as PEM: {type(error).__name__}") from None


def parse_redis_url(url: str) -> RedisLocation:
    """Return what the URL says.

    Raises:
        ValueError: it is not one of those above. It is not quoted: there may be a password in it.
    """
    scheme, _, rest = url.partition("://")
    tls = scheme.startswith("rediss")
    topology = _SCHEMES.get(scheme.replace("rediss", "redis", 1))
    if topology is None or (scheme != "unix" and not rest):
        raise ValueError(
            "must be a redis://, redis+sentinel://, redis+cluster:// or unix:// URL (rediss for TLS)"
        )
    rest, _, query = rest.partition("?")
    options = _options(query, topology)
    authority, _, path = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    credentials = _credentials(*userinfo.partition(":")[::2])
    if scheme == "unix":
        if hosts or not path:
            raise ValueError("must name the socket: unix:///run/redis.sock")
        return RedisLocation(topology, credentials=credentials, path="/" + unquote(path))
    nodes = tuple(
        _node(each, SENTINEL_PORT if topology == "sentinel" else REDIS_PORT) for each in hosts.split(",")
    )
    if topology == "single" and len(nodes) > 1:
        raise ValueError("names several nodes: that takes redis+sentinel:// or redis+cluster://")
    master, database = _path(path, topology)
    sentinel = _credentials(options.get("sentinel_username", ""), options.get("sentinel_password", ""))
    return RedisLocation(topology, nodes, tls, credentials, database, None, master, sentinel)


def _options(query: str, topology: Topology) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options.keys() - _OPTIONS[topology]:
        known = ", ".join(sorted(_OPTIONS[topology])) or "none"
        raise ValueError(
            f"has options that are not known here (known: {known}); in a password ? is written %3F"
        )
    return options


def _credentials(username: str, password: str) -> Credentials:
    return Credentials(unquote(username) or None, unquote(password) or None)


def _node(text: str, usual_port: int) -> tuple[str, int]:
    found = _NODE.fullmatch(text)
    port = usual_port if found is None or found["port"] is None else int(found["port"])
    if found is None or not 1 <= port <= 65535:
        raise ValueError(
            "must name a host, with a port or without; in a password / and @ are written %2F and %40"
        )
    return found["host"].strip("[]"), port


def _path(path: str, topology: Topology) -> tuple[str, int]:
    """Return the master's name, for Sentinels, and the number of the database."""
    master = ""
    if topology == "sentinel":
        master, _, path = path.partition("/")
        if not master:
            raise ValueError("must name the master as the Sentinels do: redis+sentinel://host:26379/mymaster")
    if path and not (path.isascii() and path.isdigit()):
        raise ValueError("must end with the number of a database, or without one")
    database = int(path or "0")
    if topology == "cluster" and database:
        raise ValueError("a Cluster has no database but 0")
    return unquote(master), database
