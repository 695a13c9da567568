"""`AUTHSERVER_*`: what the development authorization server is told by its environment."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from authcore.oauth2_types import (
    GRANT_AUTHORIZATION_CODE,
    GRANT_CLIENT_CREDENTIALS,
    GRANT_JWT_BEARER,
    GRANT_TOKEN_EXCHANGE,
)
from authcore.service import ServiceSettings

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
"""How a client authenticates (RFC 7591 §2, OIDC Core §9)."""

SigningAlgorithm = Literal["ES256", "PS256", "RS256"]

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

MAX_TOKEN_SECONDS: Final = 3600

WELL_KNOWN_SCHEMES: Final = frozenset(
    {
        *(
            "about",
            "blob",
            "cid",
            "content",
            "data",
            "dns",
            "file",
            "filesystem",
            "ftp",
            "ftps",
            "geo",
            "git",
        ),
        *("http", "https", "imap", "intent", "irc", "jar", "javascript", "ldap", "magnet", "mailto", "mid"),
        *("ms-settings", "news", "search-ms", "sftp", "sip", "sms", "ssh", "tel", "urn", "vbscript"),
        *("view-source", "ws", "wss", "xmpp"),
    }
)
"""No application's own: a redirect there would run, open, call or show something else than a client."""

_ISSUER_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("an issuer is an http or https URL")
    if value != f"{parts.scheme}://{parts.netloc}{parts.path}" or not _ISSUER_PATH.fullmatch(parts.path):
        raise ValueError("an issuer has no query, no fragment, and no slash at its end")
    return value


Issuer = Annotated[str, AfterValidator(_issuer)]


def _private_use(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", value) or value in WELL_KNOWN_SCHEMES:
        raise ValueError("a private-use scheme is one application's own, in lower case, without a colon")
    return value


PrivateUseScheme = Annotated[str, AfterValidator(_private_use)]


class UserSettings(BaseModel):
    """A user who may sign in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: str
    region: str


class ClientSettings(BaseModel):
    """A client known in advance. Names are those of RFC 7591 §2 where it has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(min_length=1)
    client_name: str | None = None
    token_endpoint_auth_method: AuthMethod = "private_key_jwt"  # noqa: S105  a name
    client_secret: SecretStr | None = None
    jwks: dict[str, object] | None = None
    redirect_uris: tuple[str, ...] = ()
    grant_types: frozenset[
        Literal[
            "authorization_code",
            "client_credentials",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ]
    ] = frozenset({GRANT_AUTHORIZATION_CODE})
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    introspection: bool = False
    """May ask what any token is good for (RFC 7662 §2.1)."""
    audiences: frozenset[str] = frozenset()
    """What its tokens may be for. Empty: the MCP resource, or no exchange at all."""
    actors: frozenset[str] = frozenset()
    """Whom its actor tokens may name (RFC 8693 §2.1). Empty: it is the actor itself, and has none."""

    @model_validator(mode="after")
    def _credentials_fit(self) -> Self:
        method = self.token_endpoint_auth_method
        if (method == "private_key_jwt") != (self.jwks is not None):
            raise ValueError("private_key_jwt and jwks go together")
        if method.startswith("client_secret_") != (self.client_secret is not None):
            raise ValueError("client_secret_basic or client_secret_post and client_secret go together")
        if method == "none" and (self.introspection or GRANT_TOKEN_EXCHANGE in self.grant_types):
            raise ValueError("a client without credentials may neither introspect nor exchange")
        if method == "none" and GRANT_JWT_BEARER in self.grant_types:
            raise ValueError("the jwt-bearer grant needs a client with credentials")
        if method != "private_key_jwt" and GRANT_CLIENT_CREDENTIALS in self.grant_types:
            raise ValueError("client_credentials needs private_key_jwt")
        if self.actors and (method != "private_key_jwt" or GRANT_TOKEN_EXCHANGE not in self.grant_types):
            raise ValueError("actors need private_key_jwt and the token-exchange grant")
        if GRANT_AUTHORIZATION_CODE in self.grant_types and not self.redirect_uris:
            raise ValueError("the authorization_code grant needs redirect_uris")
        return self


class ReceiverSettings(BaseModel):
    """Who is told when a delegation ends (RFC 8935)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://[^@\s]+$")
    audience: str = Field(min_length=1)


class IdentityProviderSettings(BaseModel):
    """An enterprise's identity provider, trusted to let agents in for users (ID-JAG)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1)
    jwks_uri: str = Field(pattern=r"^https?://[^@\s]+$")
    audience: str | None = None
    """How it names us; by our issuer if absent."""
    subjects: dict[str, str] = {}
    """Its `sub` to the email of an approved user, where its `email` claim does not say it."""


DEFAULT_USERS: Final = (
    UserSettings(email="john.doe@demo.example", region="USA"),
    UserSettings(email="jane.test@demo.example", region="Europe"),
)


class Settings(ServiceSettings):
    """Names, audiences and the place of the state have no defaults.

    The state holds signing keys: under the working directory it would end up in somebody's repository,
    under the shared temporary directory in somebody else's hands.
    """

    model_config = SettingsConfigDict(env_prefix="AUTHSERVER_", frozen=True)

    port: int = Field(default=8090, ge=1, le=65535, description="port to listen on")
    issuer: Issuer = Field(description="this server's name; a path is allowed, all endpoints live under it")
    state_path: Path = Field(description="SQLite file, made with mode 0600 if absent; holds the signing keys")
    mcp_resource: str = Field(min_length=1, description="the MCP server: the audience of agents' tokens")
    api_audiences: tuple[str, ...] = Field(
        min_length=1, description="APIs that tokens may be exchanged for, as a JSON array"
    )
    users: tuple[UserSettings, ...] = Field(
        default=DEFAULT_USERS, description='who may sign in: JSON array of {"email", "region"}'
    )
    clients: tuple[ClientSettings, ...] = Field(
        default=(), description="clients known in advance: JSON array, see README.md"
    )
    require_pushed_authorization_requests: bool = Field(
        default=False, description="accept pushed authorization requests only (RFC 9126)"
    )
    dpop_nonces: bool = Field(
        default=False, description="accept DPoP proofs only with a nonce of ours (RFC 9449)"
    )
    signing_algorithm: SigningAlgorithm = Field(
        default="ES256", description="of tokens, introspection answers and events: ES256, PS256 or RS256"
    )
    key_publish_ahead_seconds: int = Field(
        default=600, ge=0, description="how long a key is published before it signs"
    )
    key_rotation_seconds: int | None = Field(
        default=None,
        ge=1,
        description="how long a key signs before the next one does; by command only if absent",
    )
    event_receivers: tuple[ReceiverSettings, ...] = Field(
        default=(),
        description='who is told of revocations: JSON array of {"url", "audience"}, see README.md',
    )
    identity_provider: IdentityProviderSettings | None = Field(
        default=None,
        description='who lets agents in for users (ID-JAG): JSON {"issuer", "jwks_uri"}, see README.md',
    )
    private_use_schemes: frozenset[PrivateUseScheme] = Field(
        default=frozenset(),
        description="schemes such as cursor that clients may have redirect URIs with, as a JSON array; "
        "without it only those in reverse domain notation, of native clients",
    )
    registrations_per_minute: int = Field(
        default=300, ge=0, description="client registrations for each address; 0 for no limit"
    )
    logins_per_minute: int = Field(
        default=300, ge=0, description="mails and one-time passwords for each address; 0 for no limit"
    )
    client_requests_per_minute: int = Field(
        default=0, ge=0, description="token and like requests for each client; 0 for no limit"
    )
    display_names: dict[str, str] = Field(
        default={}, description="audience to the name that people read on the consent page, as a JSON object"
    )
    admin_password_file: Path | None = Field(
        default=None, description="file with the password of the admin page"
    )
    admin_password: SecretStr | None = Field(
        default=None,
        validate_default=True,
        min_length=16,
        description="the same without a file; one is made and shown at start if there is neither",
    )
    access_token_lifetime_seconds: int | None = Field(
        default=None,
        ge=1,
        le=MAX_TOKEN_SECONDS,
        description="replaces the lifetime that policy.py gives (900)",
    )
    session_lifetime_seconds: int = Field(
        default=8 * 3600, ge=60, description="how long a login lasts in one browser"
    )
    smtp_port: int = Field(
        default=0, ge=0, le=65535, description="loopback port of the inbox's SMTP server, 0 for any free one"
    )
    cimd_allow_loopback: bool = Field(
        default=False, description="let client metadata documents come from this machine, still over https"
    )
    cimd_ca_file: Path | None = Field(
        default=None, description="PEM file of a development CA trusted for client metadata documents"
    )

    @field_validator("state_path")
    @classmethod
    def _has_a_directory(cls, value: Path) -> Path:
        if not value.absolute().parent.is_dir():
            raise ValueError("its directory does not exist")
        return value

    @field_validator("admin_password", mode="before")
    @classmethod
    def _or_from_file(cls, value: object, info: ValidationInfo) -> object:
        path = info.data.get("admin_password_file")
        if path is None:
            return value
        if value is not None:
            raise ValueError("given both directly and as a file")
        try:
            return cast(Path, path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"its file cannot be read: {type(error).__name__}") from None

    @model_validator(mode="after")
    def _audiences_are_known(self) -> Self:
        known = {self.mcp_resource, *self.api_audiences}
        for client in self.clients:
            if not client.audiences <= known:
                raise ValueError("a client's audiences must be mcp_resource or among api_audiences")
        if len({client.client_id for client in self.clients}) != len(self.clients):
            raise ValueError("two clients have the same client_id")
        if len({receiver.url for receiver in self.event_receivers}) != len(self.event_receivers):
            raise ValueError("two event receivers have the same url")
        return self
