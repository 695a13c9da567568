"""Where everything is, for an issuer with or without a path."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

AUTHORIZE: Final = "authorize"
TOKEN: Final = "token"  # noqa: S105  a path
INTROSPECT: Final = "introspect"
PUSH: Final = "par"
REVOKE: Final = "revoke"
REGISTER: Final = "register"
JWKS: Final = "jwks"
FOR_CLIENTS: Final = (TOKEN, INTROSPECT, REVOKE, PUSH)
"""Where clients authenticate: an assertion may be addressed to any of these (RFC 7523 §3)."""
LOGIN: Final = "login"
LOGIN_CODE: Final = "login/code"
CONSENT: Final = "consent"
STYLE: Final = "style.css"
COUNTERS: Final = "debug/counters"
INBOX: Final = "/inbox"
"""At the root of the host, like a mail program beside the server."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Turns the names above into paths, for routes and links, and into URLs, for documents."""

    issuer: str

    @property
    def issuer_path(self) -> str:
        """The issuer's path: empty, or with a slash in front and none at the end."""
        return urlsplit(self.issuer).path

    @property
    def host(self) -> str:
        """The issuer's host, without a port, in lower case."""
        return urlsplit(self.issuer).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether browsers reach this server over TLS."""
        return self.issuer.startswith("https://")

    def path(self, name: str) -> str:
        """Return the path of an endpoint on this host."""
        return f"{self.issuer_path}/{name}"

    def url(self, name: str) -> str:
        """Return the full URL of an endpoint."""
        return f"{self.issuer}/{name}"

    def well_known(self) -> tuple[str, ...]:
        """Return every path where clients look for the metadata (RFC 8414 §3 and §5, OIDC Discovery §4)."""
        kinds = ("oauth-authorization-server", "openid-configuration")
        inserted = [f"/.well-known/{kind}{self.issuer_path}" for kind in kinds]
        appended = [f"{self.issuer_path}/.well-known/{kind}" for kind in kinds]
        return tuple(dict.fromkeys(inserted + appended))
