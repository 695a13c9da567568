"""`GATEWAY_*`: what the gateway is told by its environment."""

import json
from pathlib import Path
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.dpop_nonces import DerivedNonces
from authcore.key_ring import parse_ring
from authcore.redis_settings import RedisSettings
from authcore.secret_settings import given_or_from_file
from mcp_gateway.broker_proof import read_token
from mcp_gateway.hosts import normal_host, normal_url
from mcp_gateway.limits import Limit
from mcp_gateway.memory import UNANNOUNCED_SECONDS
from mcp_gateway.proxies import TrustedProxies


class Settings(RedisSettings):
    """Whom to trust has no default. Without Redis, revocations are not heard."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    port: int = Field(default=8080, ge=1, le=65535, description="port to listen on")
    resource: str = Field(
        description="URL agents connect to, and the audience of their tokens (RFC 8707), "
        "such as https://mcp.demo.example/mcp"
    )
    resource_name: str = Field(default="Delegant MCP gateway", description="what people read in the metadata")
    issuer: str = Field(description="issuer of the access tokens, exactly as in their `iss`")
    jwks_uri: str = Field(description="where that issuer publishes its signing keys")
    signing_algorithms: frozenset[str] = Field(
        default=frozenset({"ES256"}), description="accepted signature algorithms, as a JSON array"
    )
    clock_skew_seconds: int = Field(default=30, ge=0, le=300, description="how far clocks may differ")
    broker_url: str = Field(description="base URL of the token broker")
    broker_client_id: str = Field(default="mcp-gateway", description="who we are at the broker")
    broker_client_key_file: Path | None = Field(
        default=None, description="file with our private JWK for the broker"
    )
    broker_token_file: Path | None = Field(
        default=None,
        validate_default=True,
        description="instead of the key: file with our Kubernetes service-account token, projected for the "
        "broker's URL; the broker knows who we are by it",
    )
    api_url: str = Field(description="base URL of the stocks API")
    api_audience: str = Field(description="the API's name in `aud`, such as https://api.demo.example")
    allowed_hosts: frozenset[str] = Field(
        default=frozenset(),
        description="accepted `Host` headers, as a JSON array; that of the resource if empty",
    )
    allowed_origins: frozenset[str] = Field(
        default=frozenset(), description="web origins that may call us from a browser, as a JSON array"
    )
    list_step_up: bool = Field(
        default=True,
        description="list tools too that a token can use only after asking for more scopes, marked as such",
    )
    state_key_file: Path | None = Field(default=None, description="file with the keys of what we seal")
    state_key: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="the same, without a file: 32 bytes in base64url, the same for all replicas; "
        "several separated by commas: the first seals, all open",
    )
    approval_client_id: str = Field(
        default="",
        description="who we are at the authorization server when a user signs in to approve a call: a public "
        "client with redirect URI <origin>/approvals/callback; without it tools that take approval are off",
    )
    approval_scope: str = Field(
        default="approvals", description="what that sign-in asks for: no API has a use for it"
    )
    authorization_endpoint: str = Field(default="", description="the issuer's, for that sign-in")
    token_endpoint: str = Field(default="", description="the issuer's, for that sign-in")
    issuer_in_response: bool = Field(
        default=True, description="refuse redirects of the authorization server without `iss` (RFC 9207)"
    )
    approval_seconds: int = Field(
        default=300,
        ge=10,
        le=3600,
        description="how long a user may take, and an approval may wait to be used",
    )
    approval_wait_seconds: float = Field(
        default=20.0,
        ge=0,
        le=60,
        description="how long one request of an agent waits for its user, who is on the page",
    )
    redis_timeout_seconds: float = Field(
        default=0.5, gt=0, description="limit for connecting to Redis and for each of its answers"
    )
    redis_max_connections: int = Field(default=32, ge=1, description="connections kept to Redis")
    bound_tokens_required: bool = Field(
        default=False,
        description="refuse tokens that are bound neither to a key (DPoP, RFC 9449) nor to a client "
        "certificate (RFC 8705)",
    )
    dpop_nonce_key_file: Path | None = Field(
        default=None,
        description="file with at least 32 random characters, the same for all replicas; "
        "with it DPoP proofs must carry a nonce of ours (RFC 9449 §9)",
    )
    dpop_nonce_key: SecretStr = Field(
        default=SecretStr(""), validate_default=True, description="the same, without a file"
    )
    trusted_proxies: frozenset[str] = Field(
        default=frozenset(),
        description="addresses or networks, as a JSON array, whose `Client-Cert` (RFC 9440) and "
        "`X-Forwarded-For` are believed; the proxy must drop these headers when clients send them",
    )
    deaf_after_seconds: float = Field(
        default=3.0,
        ge=1.0,
        le=60,
        description="so long after the last heartbeat memory is no longer used: "
        "at least three times BROKER_HEARTBEAT_SECONDS",
    )
    memory_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="how long a token's answer is remembered in the process; 300 if revocations are heard, "
        "else 5: then it is the longest a revoked token can still pass here",
    )
    memory_entries: int = Field(default=10_000, ge=1, description="how many tokens are remembered at most")
    limits: frozenset[str] = Field(
        default=frozenset({"delegation 6000/minute", "client 60000/minute"}),
        description="how often may be called, as a JSON array: by one delegation, by all of one client, or "
        "one tool by one delegation ('tool:place-order 20/hour'); per second, minute, hour or day",
    )
    limits_without_redis: Literal["local", "refuse"] = Field(
        default="local",
        description="while Redis is away: `local` has each replica count by itself, `refuse` answers 503",
    )
    refused_tokens_per_minute: int = Field(
        default=300,
        ge=0,
        description="how many tokens of one address may be refused before its unknown tokens get 429; "
        "0 for any number",
    )
    request_deadline_seconds: float = Field(
        default=30.0,
        gt=0,
        description="how long one request of an agent may take, everything behind it included",
    )
    http_timeout_seconds: float = Field(
        default=10.0, gt=0, description="limit for each step of a request to the broker and the API"
    )

    @field_validator("resource")
    @classmethod
    def _is_canonical(cls, value: str) -> str:
        return normal_url(value)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_normal(cls, value: frozenset[str]) -> frozenset[str]:
        return frozenset(normal_host(host) for host in value)

    @field_validator("broker_client_key_file")
    @classmethod
    def _holds_a_key(cls, value: Path | None) -> Path | None:
        if value is None:
            return value
        try:
            document: object = json.loads(value.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot be read as JSON: {type(error).__name__}") from None
        if not isinstance(document, dict):
            raise ValueError("does not hold a JWK")
        ClientAssertionSigner("", cast("dict[str, Any]", document), now=system_clock)
        return value

    @field_validator("broker_token_file")
    @classmethod
    def _is_the_one_proof(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        # A key file that is no good has been complained about already.
        told = info.data
        if "broker_client_key_file" in told and (value is None) == (told["broker_client_key_file"] is None):
            raise ValueError(
                "give either GATEWAY_BROKER_CLIENT_KEY_FILE or GATEWAY_BROKER_TOKEN_FILE, not both or neither"
            )
        if value is not None:
            read_token(value)
        return value

    @field_validator("limits")
    @classmethod
    def _are_limits(cls, value: frozenset[str]) -> frozenset[str]:
        for text in value:
            Limit.parse(text)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: frozenset[str]) -> frozenset[str]:
        TrustedProxies(value)
        return value

    @field_validator("dpop_nonce_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            DerivedNonces(value.get_secret_value(), now=system_clock)
        return value

    @field_validator("state_key", "dpop_nonce_key", mode="before")
    @classmethod
    def _or_from_file(cls, value: object, info: ValidationInfo) -> object:
        return given_or_from_file(value, info)

    @model_validator(mode="after")
    def _can_tell_used_proofs(self) -> "Settings":
        offered = self.redis_url.get_secret_value() or self.trusted_proxies
        if self.bound_tokens_required and not offered:
            raise ValueError(
                "BOUND_TOKENS_REQUIRED needs Redis (for DPoP) or TRUSTED_PROXIES (for certificates)"
            )
        return self

    @field_validator("state_key")
    @classmethod
    def _seals(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            parse_ring(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _approvals_are_whole(self) -> Self:
        needed = {
            "STATE_KEY": self.state_key.get_secret_value(),
            "REDIS_URL": self.redis_url.get_secret_value(),
            "AUTHORIZATION_ENDPOINT": self.authorization_endpoint,
            "TOKEN_ENDPOINT": self.token_endpoint,
        }
        missing = [f"GATEWAY_{name}" for name, value in needed.items() if not value]
        if self.approval_client_id and missing:
            raise ValueError(f"GATEWAY_APPROVAL_CLIENT_ID needs {', '.join(missing)} as well")
        if self.approval_client_id and self.approval_wait_seconds >= self.request_deadline_seconds:
            raise ValueError(
                "GATEWAY_APPROVAL_WAIT_SECONDS must be less than GATEWAY_REQUEST_DEADLINE_SECONDS"
            )
        return self

    @property
    def call_limits(self) -> tuple[Limit, ...]:
        """The limits, the strictest first."""
        limits = map(Limit.parse, self.limits)
        return tuple(sorted(limits, key=lambda limit: (limit.quota / limit.window_seconds, limit.name)))

    @property
    def dpop_required(self) -> bool:
        """Whether nothing but DPoP-bound tokens can be used: no proxy could tell us of a certificate."""
        return self.bound_tokens_required and not self.trusted_proxies

    @property
    def memory_age_seconds(self) -> int:
        """How long something is remembered whose revocation would be heard of, if any is."""
        if self.memory_seconds is not None:
            return self.memory_seconds
        return 300 if self.redis_url.get_secret_value() else UNANNOUNCED_SECONDS

    @property
    def path(self) -> str:
        """The path of the MCP endpoint."""
        return urlsplit(self.resource).path or "/"

    @property
    def origin(self) -> str:
        """Scheme and authority of the resource."""
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def hosts(self) -> frozenset[str]:
        """The `Host` headers that name us."""
        return self.allowed_hosts or frozenset({normal_host(urlsplit(self.resource).netloc)})

    @property
    def audience(self) -> frozenset[str]:
        """The spellings of our resource: with and without a trailing slash (MCP, canonical server URI)."""
        bare = self.resource.rstrip("/")
        return frozenset({bare, bare + "/"})
