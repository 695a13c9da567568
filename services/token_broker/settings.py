"""`BROKER_*`: what the broker is told by its environment."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import system_clock
from authcore.jwks import parse_key_set
from authcore.key_ring import parse_ring
from authcore.redis_settings import RedisSettings
from authcore.secret_settings import given_or_from_file
from token_broker.client_auth import RIGHTS, Right
from token_broker.profiles import Profile, load_profile
from token_broker.service_accounts import clients_of

_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9-]{1,63}:[a-z0-9.-]{1,253}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class CallerSettings(BaseModel):
    """One client of the broker and the most it may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jwks: dict[str, Any] | None = Field(default=None, description="its public keys (RFC 7517 §5)")
    service_accounts: frozenset[str] = Field(
        default=frozenset(), description="Kubernetes service accounts that are this caller"
    )
    resource: str = Field(default="", description="the audience a subject token must have")
    audiences: frozenset[str] = Field(default=frozenset(), description="targets it may exchange for")
    scopes: frozenset[str] = Field(default=frozenset(), description="scopes it may exchange for")
    operator: bool | frozenset[Right] = Field(
        default=False, description='rights over all delegations: ["read"], ["revoke"], or true for both'
    )

    @property
    def rights(self) -> frozenset[Right]:
        """What it may do with all delegations."""
        if isinstance(self.operator, bool):
            return RIGHTS if self.operator else frozenset()
        return self.operator

    @field_validator("jwks")
    @classmethod
    def _has_public_keys(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return value
        entries: object = value.get("keys")
        keys = parse_key_set(json.dumps(value).encode())
        if not isinstance(entries, list) or len(keys) != len(cast("list[object]", entries)):
            raise ValueError("not all of its keys are usable public signature keys")
        if any(
            member in entry for entry in cast("list[dict[str, object]]", entries) for member in ("d", "k")
        ):
            raise ValueError("holds a private key; only the client itself may have it")
        return value

    @field_validator("audiences", "scopes")
    @classmethod
    def _are_names(cls, value: frozenset[str]) -> frozenset[str]:
        if not all(name and name.isascii() and name.isprintable() for name in value):
            raise ValueError("must be printable ASCII")
        if any(forbidden in name for name in value for forbidden in ' |"\\'):
            raise ValueError('must not contain spaces, quotes, "|" or backslashes')
        return value

    @field_validator("service_accounts")
    @classmethod
    def _are_service_accounts(cls, value: frozenset[str]) -> frozenset[str]:
        if not all(_SERVICE_ACCOUNT.fullmatch(name) for name in value):
            raise ValueError("must be system:serviceaccount:<namespace>:<name>")
        return value

    @model_validator(mode="after")
    def _may_do_something(self) -> Self:
        if self.jwks is None and not self.service_accounts:
            raise ValueError("needs jwks or service_accounts: how else would it prove who it is?")
        if not self.resource and (self.audiences or self.scopes or not self.operator):
            raise ValueError("needs a resource: only an operator does without")
        return self


class Settings(RedisSettings):
    """Whom to trust has no default. A secret is given directly or, better, by the name of a file."""

    model_config = SettingsConfigDict(env_prefix="BROKER_", frozen=True)

    port: int = Field(default=8081, ge=1, le=65535)
    url: str = Field(description="our own public URL: the audience of callers' assertions")
    allow_plain_http: bool = Field(
        default=False, description="reach the authorization server without TLS though it is not on loopback"
    )
    profile: str = Field(
        default="embedded",
        validate_default=True,
        description="which authorization server product: a shipped profile, or the path of a file",
    )
    issuer: str = Field(description="the authorization server, exactly as in the `iss` of its tokens")
    jwks_uri: str = Field(description="where it publishes its signing keys")
    introspection_endpoint: str = Field(
        default="",
        validate_default=True,
        description="its introspection endpoint, unless the profile does without",
    )
    token_endpoint: str = Field(description="its token endpoint")
    client_id: str = Field(default="token-broker", description="who we are there")
    client_key_file: Path | None = Field(default=None, description="file with our private JWK")
    client_key: SecretStr = Field(
        default=SecretStr(""), validate_default=True, description="our private JWK, without a file"
    )
    client_secret_file: Path | None = Field(default=None, description="file with our secret there")
    client_secret: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="our secret there, if the profile authenticates with one",
    )
    assertion_key_file: Path | None = Field(default=None, description="file with the key of our assertions")
    assertion_key: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="private JWK that vouches for users, if the profile exchanges by our own assertions",
    )
    sealing_key_file: Path | None = Field(default=None, description="file with the sealing keys")
    sealing_key: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="32 bytes in base64url; several separated by commas or lines: the first seals, all open; "
        "key@time seals from then on",
    )
    callers_file: Path | None = Field(default=None, description="file with the callers")
    callers: Annotated[dict[str, CallerSettings], NoDecode] = Field(
        default={},
        validate_default=True,
        description="JSON: client id -> {jwks, resource, audiences, scopes, operator}",
    )
    service_account_issuer: str = Field(
        default="", description="the Kubernetes cluster whose service accounts are callers, as in their `iss`"
    )
    service_account_jwks_uri: str = Field(
        default="",
        description="where it publishes its keys, such as https://kubernetes.default.svc/openid/v1/jwks",
    )
    service_account_jwks_file: Path | None = Field(default=None, description="its keys, without asking")
    service_account_token_file: Path | None = Field(
        default=None, description="our own token for asking, read each time"
    )
    service_account_ca_file: Path | None = Field(
        default=None, description="PEM of the authority of the cluster's API"
    )
    clock_skew_seconds: int = Field(default=30, ge=0, le=300)
    cache_leeway_seconds: int = Field(
        default=10, ge=0, le=300, description="a token is not served from Redis in its last seconds"
    )
    refresh_ahead_seconds: int = Field(
        default=30,
        ge=0,
        le=3600,
        description="so long before its end an exchanged token is replaced beside a request that uses it; "
        "0 is never",
    )
    tombstone_seconds: int = Field(
        default=30 * 24 * 3600, ge=60, description="longer than any subject token of the server lives"
    )
    http_timeout_seconds: float = Field(default=2.0, gt=0, le=30)
    http_deadline_seconds: float = Field(
        default=5.0, gt=0, le=60, description="limit for one whole answer of the authorization server"
    )
    redis_timeout_seconds: float = Field(
        default=0.5, gt=0, le=10, description="limit for one answer; with queueing it may be twice that"
    )
    heartbeat_seconds: float = Field(
        default=1.0, gt=0, le=60, description="how often those who remember tokens are told that we are there"
    )
    redis_max_connections: int = Field(default=16, ge=1)
    redis_revocation_replicas: int = Field(
        default=0,
        ge=0,
        le=16,
        description="a revocation is confirmed once so many replicas of Redis have it; else it is a 503",
    )

    @field_validator("callers", mode="before")
    @classmethod
    def _decoded(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("not JSON") from None

    @field_validator("profile")
    @classmethod
    def _can_be_loaded(cls, value: str) -> str:
        load_profile(value)
        return value

    # Pydantic runs `before` validators from the last to the first: a file is read, then decoded.
    @field_validator("client_key", "client_secret", "assertion_key", "sealing_key", "callers", mode="before")
    @classmethod
    def _or_from_file(cls, value: object, info: ValidationInfo) -> object:
        found = given_or_from_file(value, info)
        empty = not (found.get_secret_value() if isinstance(found, SecretStr) else found)
        if empty and _is_needed(info):
            raise ValueError(f"give it, or BROKER_{(info.field_name or '').upper()}_FILE")
        return found

    @field_validator("callers")
    @classmethod
    def _some(cls, value: dict[str, CallerSettings]) -> dict[str, CallerSettings]:
        if not any(caller.resource for caller in value.values()):
            raise ValueError("nobody may ask this broker for tokens")
        return value

    @model_validator(mode="after")
    def _knows_the_cluster(self) -> Self:
        accounts = clients_of({name: caller.service_accounts for name, caller in self.callers.items()})
        sources = (self.service_account_jwks_uri, self.service_account_jwks_file)
        if accounts and (not self.service_account_issuer or sum(map(bool, sources)) != 1):
            raise ValueError(
                "service_accounts need BROKER_SERVICE_ACCOUNT_ISSUER, and BROKER_SERVICE_ACCOUNT_JWKS_URI "
                "or BROKER_SERVICE_ACCOUNT_JWKS_FILE"
            )
        if urlsplit(self.service_account_jwks_uri).scheme not in ("", "https") and not self.allow_plain_http:
            raise ValueError(
                "BROKER_SERVICE_ACCOUNT_JWKS_URI must be https (or BROKER_ALLOW_PLAIN_HTTP=true)"
            )
        if self.service_account_jwks_file is not None:
            parse_key_set(self.service_account_jwks_file.read_bytes())
        return self

    @field_validator("client_key", "assertion_key")
    @classmethod
    def _signs(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            ClientAssertionSigner("", private_jwk(value), now=system_clock)
        return value

    @field_validator("sealing_key")
    @classmethod
    def _seals(cls, value: SecretStr) -> SecretStr:
        parse_ring(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _has_redis(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("give it, or BROKER_REDIS_URL_FILE")
        return value

    @field_validator("url", "issuer", "jwks_uri", "introspection_endpoint", "token_endpoint")
    @classmethod
    def _is_url(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "introspection_endpoint" and not _is_needed(info):
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise ValueError("must be an http(s) URL")
        may_be_plain = info.field_name in ("url", "issuer") or info.data.get("allow_plain_http")
        if parts.scheme == "http" and not may_be_plain and parts.hostname not in _LOOPBACK:
            raise ValueError("must be https: tokens and keys pass here (or BROKER_ALLOW_PLAIN_HTTP=true)")
        return value


def _is_needed(info: ValidationInfo) -> bool:
    """Tell whether the profile needs a setting that others do without."""
    name = info.data.get("profile")
    # Without a profile, which is a complaint of its own, nobody knows.
    profile = None if name is None else load_profile(name)
    needed: dict[str, Callable[[Profile], bool]] = {
        "client_key": lambda profile: profile.client.authentication == "private_key_jwt",
        "client_secret": lambda profile: profile.client.authentication != "private_key_jwt",
        "assertion_key": lambda profile: profile.exchange.adapter == "assertion_7523",
        "introspection_endpoint": lambda profile: profile.introspection.asks,
    }
    tells = needed.get(info.field_name or "")
    return tells is None or (profile is not None and tells(profile))


def private_jwk(value: SecretStr) -> dict[str, Any]:
    """Return the JWK in a setting.

    Raises:
        ValueError: not a JSON object.
    """
    try:
        jwk: object = json.loads(value.get_secret_value())
    except (ValueError, RecursionError):
        jwk = None
    if not isinstance(jwk, dict):
        raise ValueError("not a JWK")
    return cast("dict[str, Any]", jwk)
