"""The parts and what each is told: every one gets its own variables and no other's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo import keys
from demo.ports import HOST

ISSUER_PATH: Final = "/oauth/v2/oauth-anonymous"
MCP_PATH: Final = "/mcp"
API_AUDIENCE: Final = "https://api.demo.example"
SCOPES: Final = ("stocks/read", "stocks/trade")
BROKER_CLIENT: Final = "token-broker"
GATEWAY_CLIENT: Final = "mcp-gateway"
APPROVAL_CLIENT: Final = "mcp-gateway-approvals"
OPERATOR_CLIENT: Final = "operator"
OPERATOR_KEY: Final = "operator-key.json"
"""A file name."""
INSPECTOR_ORIGINS: Final = ("http://localhost:6274", "http://127.0.0.1:6274")
SHUTDOWN_GRACE_SECONDS: Final = 2
ADMIN_PASSWORD: Final = "admin-password"  # noqa: S105  a file name

REDIS: Final = "redis"
AUTHSERVER: Final = "authserver"
BROKER: Final = "broker"
STOCKS: Final = "stocks"
GATEWAY: Final = "gateway"
AGENT: Final = "agent"
"""The web site of the agent's vendor: there with TLS only."""
AGENT_PATH: Final = "/agent.json"

MODULES: Final[Mapping[str, str]] = {
    AUTHSERVER: "authserver",
    BROKER: "token_broker",
    STOCKS: "stocks",
    GATEWAY: "mcp_gateway",
}
USUAL_PORTS: Final[Mapping[str, int]] = {
    GATEWAY: 8080,
    BROKER: 8081,
    STOCKS: 8082,
    AUTHSERVER: 8090,
    REDIS: 8379,
    AGENT: 8091,
}
HOST_NAMES: Final[Mapping[str, str]] = {
    GATEWAY: "mcp.demo.example",
    AUTHSERVER: "login.demo.example",
    STOCKS: "api.demo.example",
}
"""By which parts can be known to agents and browsers."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything of one run is: under which names it is known, and where each part listens."""

    ports: Mapping[str, int]
    redis: str = field(repr=False)
    ca: Path | None = None
    """The authority that vouches for the parts; without one they speak plain HTTP."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Host names of parts, which lead to loopback."""

    @classmethod
    def on(
        cls,
        ports: Mapping[str, int],
        *,
        redis: str,
        ca: Path | None = None,
        names: Mapping[str, str] | None = None,
    ) -> "Addresses":
        """Return the addresses for the ports."""
        return cls(dict(ports), redis, ca, names or {})

    def here(self, part: str) -> str:
        """Return the base URL at which a part can be reached without its name."""
        return self._base(part, HOST)

    def _base(self, part: str, host: str) -> str:
        scheme, usual = ("http", 80) if self.ca is None else ("https", 443)
        port = self.ports[part]
        return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"

    def _known_as(self, part: str) -> str:
        return self._base(part, self.names.get(part, HOST))

    @property
    def gateway(self) -> str:
        """The MCP gateway."""
        return self._known_as(GATEWAY)

    @property
    def authserver(self) -> str:
        """The authorization server."""
        return self._known_as(AUTHSERVER)

    @property
    def api(self) -> str:
        """The stocks API."""
        return self._known_as(STOCKS)

    @property
    def broker(self) -> str:
        """The token broker, which only the other parts know."""
        return self.here(BROKER)

    @property
    def mcp(self) -> str:
        """What agents connect to."""
        return self.gateway + MCP_PATH

    @property
    def issuer(self) -> str:
        """The authorization server's name."""
        return self.authserver + ISSUER_PATH

    @property
    def issuer_here(self) -> str:
        """Where the other parts reach the authorization server's endpoints."""
        return self.here(AUTHSERVER) + ISSUER_PATH

    @property
    def inbox(self) -> str:
        """Where one-time passwords arrive."""
        return self.authserver + "/inbox"

    @property
    def agent_metadata(self) -> str | None:
        """The document that describes the demo's agent, and is its `client_id`; there is none without TLS."""
        return None if self.ca is None or AGENT not in self.ports else self.here(AGENT) + AGENT_PATH


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only one run knows, as files that only we can read."""

    broker_key: Path
    broker_public_key: dict[str, Any]
    gateway_key: Path
    gateway_public_key: dict[str, Any]
    operator_key: Path
    operator_public_key: dict[str, Any]
    sealing_key: Path
    state_key: Path
    redis_urls: Mapping[str, Path]
    """By part: each is a user of its own."""
    admin_password: Path

    @classmethod
    def create(cls, directory: Path, *, redis_urls: Mapping[str, str]) -> "Secrets":
        """Make new keys in the directory."""
        broker, gateway = keys.signing_key(BROKER_CLIENT), keys.signing_key(GATEWAY_CLIENT)
        operator = keys.signing_key(OPERATOR_CLIENT)
        return cls(
            keys.write_jwk(directory / "broker-key.json", broker),
            keys.public_part(broker),
            keys.write_jwk(directory / "gateway-key.json", gateway),
            keys.public_part(gateway),
            keys.write_jwk(directory / OPERATOR_KEY, operator),
            keys.public_part(operator),
            keys.write_private(directory / "sealing-key", keys.secret()),
            keys.write_private(directory / "state-key", keys.secret()),
            {
                part: keys.write_private(directory / f"{part}-redis-url", url)
                for part, url in redis_urls.items()
            },
            keys.write_private(directory / ADMIN_PASSWORD, keys.secret()),
        )


def environments(
    addresses: Addresses, secrets: Secrets, ports: Mapping[str, int], *, directory: Path, log_level: str
) -> dict[str, dict[str, str]]:
    """Return the environment of each of our own services, in the order in which to list them."""
    token_exchange = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  a grant type
    broker = {
        "client_id": BROKER_CLIENT,
        "client_name": "Token broker",
        "jwks": {"keys": [secrets.broker_public_key]},
        "grant_types": [token_exchange],
        "introspection": True,
        "audiences": [API_AUDIENCE],
        "actors": [GATEWAY_CLIENT],
    }
    approvals = {
        "client_id": APPROVAL_CLIENT,
        "client_name": "Approval page of the MCP gateway",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [addresses.gateway + "/approvals/callback"],
    }
    gateway = {
        "jwks": {"keys": [secrets.gateway_public_key]},
        "resource": addresses.mcp,
        "audiences": [API_AUDIENCE],
        "scopes": list(SCOPES),
    }
    operator = {"jwks": {"keys": [secrets.operator_public_key]}, "operator": True}
    special: dict[str, dict[str, str]] = {
        AUTHSERVER: {
            "AUTHSERVER_ISSUER": addresses.issuer,
            "AUTHSERVER_STATE_PATH": str(directory / "authserver.sqlite"),
            "AUTHSERVER_MCP_RESOURCE": addresses.mcp,
            "AUTHSERVER_API_AUDIENCES": json.dumps([API_AUDIENCE]),
            "AUTHSERVER_CLIENTS": json.dumps([broker, approvals]),
            "AUTHSERVER_EVENT_RECEIVERS": json.dumps(
                [{"url": addresses.broker + "/events", "audience": addresses.broker}]
            ),
            "AUTHSERVER_ADMIN_PASSWORD_FILE": str(secrets.admin_password),
        },
        BROKER: {
            "BROKER_URL": addresses.broker,
            "BROKER_ISSUER": addresses.issuer,
            "BROKER_JWKS_URI": addresses.issuer_here + "/jwks",
            "BROKER_INTROSPECTION_ENDPOINT": addresses.issuer_here + "/introspect",
            "BROKER_TOKEN_ENDPOINT": addresses.issuer_here + "/token",
            "BROKER_CLIENT_ID": BROKER_CLIENT,
            "BROKER_CLIENT_KEY_FILE": str(secrets.broker_key),
            "BROKER_REDIS_URL_FILE": str(secrets.redis_urls[BROKER]),
            "BROKER_SEALING_KEY_FILE": str(secrets.sealing_key),
            "BROKER_CALLERS": json.dumps({GATEWAY_CLIENT: gateway, OPERATOR_CLIENT: operator}),
        },
        STOCKS: {
            "STOCKS_ISSUER": addresses.issuer,
            "STOCKS_JWKS_URI": addresses.issuer_here + "/jwks",
            "STOCKS_AUDIENCE": API_AUDIENCE,
            "STOCKS_STORE_URL": f"sqlite:///{directory / 'stocks.sqlite'}",
            "STOCKS_ALLOWED_ACTORS": json.dumps([GATEWAY_CLIENT, BROKER_CLIENT]),
        },
        GATEWAY: {
            "GATEWAY_RESOURCE": addresses.mcp,
            "GATEWAY_ISSUER": addresses.issuer,
            "GATEWAY_JWKS_URI": addresses.issuer_here + "/jwks",
            "GATEWAY_BROKER_URL": addresses.broker,
            "GATEWAY_BROKER_CLIENT_ID": GATEWAY_CLIENT,
            "GATEWAY_BROKER_CLIENT_KEY_FILE": str(secrets.gateway_key),
            "GATEWAY_REDIS_URL_FILE": str(secrets.redis_urls[GATEWAY]),
            "GATEWAY_STATE_KEY_FILE": str(secrets.state_key),
            "GATEWAY_APPROVAL_CLIENT_ID": APPROVAL_CLIENT,
            "GATEWAY_AUTHORIZATION_ENDPOINT": addresses.issuer + "/authorize",
            "GATEWAY_TOKEN_ENDPOINT": addresses.issuer_here + "/token",
            "GATEWAY_API_URL": addresses.here(STOCKS),
            "GATEWAY_API_AUDIENCE": API_AUDIENCE,
            "GATEWAY_ALLOWED_ORIGINS": json.dumps(list(INSPECTOR_ORIGINS)),
        },
    }
    return {
        part: common_variables(part, ports[part], log_level) | variables
        for part, variables in special.items()
    }


def common_variables(part: str, port: int, log_level: str) -> dict[str, str]:
    """Return what every part is told."""
    prefix = part.upper() + "_"
    return {
        "PYTHONUNBUFFERED": "1",
        prefix + "HOST": HOST,
        prefix + "PORT": str(port),
        prefix + "LOG_LEVEL": log_level,
        prefix + "SHUTDOWN_GRACE_SECONDS": str(SHUTDOWN_GRACE_SECONDS),
    }
