"""What a client says of itself, from registration or from its metadata document, and what is accepted of it.

One function serves both ways (RFC 7591 §2, Client ID Metadata Documents §4), so that neither gets around
the policy.
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from authcore.errors import InvalidClientMetadata, InvalidRedirectUri
from authcore.jwks import PRIVATE_MEMBERS, parse_key_set
from authserver.policy import Policy
from authserver.redirect_uris import check_redirect_uri
from authserver.settings import AuthMethod

MAX_REDIRECT_URIS: Final = 20
MAX_NAME_LENGTH: Final = 80
MAX_TEXT_LENGTH: Final = 500

_LINKS: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_TEXTS: Final = ("software_id", "software_version")


class _Wire(BaseModel):
    """The members that are looked at. Others are tolerated."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    redirect_uris: list[str] = []
    token_endpoint_auth_method: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None
    client_name: str | None = None
    application_type: str | None = None
    jwks: dict[str, object] | None = None
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False

    @model_validator(mode="before")
    @classmethod
    def _placeholders_are_absent(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        members = cast("dict[str, object]", data)
        return {name: value for name, value in members.items() if value is not None and value != ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedMetadata:
    """What remains after policy."""

    redirect_uris: tuple[str, ...]
    auth_method: AuthMethod
    grant_types: tuple[str, ...]
    name: str | None
    application_type: str | None
    jwks: dict[str, object] | None
    """Public keys only."""
    pushes: bool = False
    """Accepts no authorization request in its name that was not pushed (RFC 9126 §6)."""
    dpop_bound: bool = False
    """Its tokens are always bound to a key (RFC 9449 §5.2)."""
    extras: dict[str, str] = field(default_factory=dict[str, str])
    """Well-formed members that we only repeat."""

    def document(self) -> dict[str, object]:
        """Return the members of RFC 7591 §2, as registered."""
        members: dict[str, object] = {
            "redirect_uris": list(self.redirect_uris),
            "token_endpoint_auth_method": self.auth_method,
            "grant_types": list(self.grant_types),
            "response_types": ["code"],
            "client_name": self.name,
            "application_type": self.application_type,
            "jwks": self.jwks,
            "require_pushed_authorization_requests": self.pushes or None,
            "dpop_bound_access_tokens": self.dpop_bound or None,
        }
        return {name: value for name, value in members.items() if value is not None} | self.extras


def parse_object(body: bytes) -> dict[str, object]:
    """Return the JSON object that a client sent us, every text in it fit for UTF-8 (RFC 8259 §8.2).

    Raises:
        ValueError: it is something else, or nested too deeply.
    """
    try:
        parsed: object = json.loads(body)
        # Half a surrogate pair is JSON, but breaks whoever stores or repeats it.
        json.dumps(parsed, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, object]", parsed)


def accept_metadata(
    document: Mapping[str, object], policy: Policy, *, default_method: AuthMethod
) -> AcceptedMetadata:
    """Return what is accepted of a client's metadata.

    Grant types that policy does not allow are left out rather than refused: clients ask for refresh tokens
    as a matter of habit.

    Args:
        document: the JSON object.
        policy: decides the grant types.
        default_method: of a client that names no authentication method.

    Raises:
        InvalidRedirectUri: there is none, or one is not acceptable.
        InvalidClientMetadata: anything else is wrong.
    """
    wire = _parse(document)
    method = _method(wire, default_method)
    native = wire.application_type == "native"
    if not 1 <= len(wire.redirect_uris) <= MAX_REDIRECT_URIS:
        raise InvalidRedirectUri(f"There must be 1 to {MAX_REDIRECT_URIS} redirect URIs")
    for uri in wire.redirect_uris:
        check_redirect_uri(uri, native=native, schemes=policy.private_use_schemes)
    if wire.response_types is not None and "code" not in wire.response_types:
        raise InvalidClientMetadata("The only response type is code")
    return AcceptedMetadata(
        redirect_uris=tuple(dict.fromkeys(wire.redirect_uris)),
        auth_method=method,
        grant_types=_grant_types(wire, policy),
        name=presentable(wire.client_name),
        application_type=wire.application_type if wire.application_type in ("web", "native") else None,
        jwks=public_jwks(wire.jwks) if method == "private_key_jwt" else None,
        pushes=wire.require_pushed_authorization_requests,
        dpop_bound=wire.dpop_bound_access_tokens,
        extras=_extras(document),
    )


def presentable(name: str | None) -> str | None:
    """Return a name as it may be shown: one short line, no invisible or direction-changing characters."""
    if name is None:
        return None
    visible = "".join(
        c if unicodedata.category(c)[0] not in "CZ" else " " if c.isspace() else "" for c in name
    )
    line = " ".join(visible.split())
    if len(line) > MAX_NAME_LENGTH:
        line = line[: MAX_NAME_LENGTH - 1] + "…"
    return line or None


def public_jwks(jwks: Mapping[str, object] | None) -> dict[str, object]:
    """Return the usable public keys of a JWK Set.

    Raises:
        InvalidClientMetadata: there is none, or the set holds a private key.
    """
    if jwks is None:
        raise InvalidClientMetadata("private_key_jwt needs an inline jwks")
    entries = jwks.get("keys")
    if isinstance(entries, list):
        for entry in cast("list[object]", entries):
            if isinstance(entry, dict) and PRIVATE_MEMBERS & set(cast("dict[str, object]", entry)):
                raise InvalidClientMetadata("The jwks must not hold private keys")
    try:
        keys = parse_key_set(json.dumps(jwks).encode())
    except ValueError as error:
        raise InvalidClientMetadata("The jwks holds no usable signature key", reason=str(error)) from None
    return {"keys": [key.as_dict(private=False) for key in keys]}


def _parse(document: Mapping[str, object]) -> _Wire:
    try:
        return _Wire.model_validate(document)
    except ValidationError as error:
        name = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"][:1])
        message = f"The member {name} is malformed"
        raise (InvalidRedirectUri if name == "redirect_uris" else InvalidClientMetadata)(message) from None


def _method(wire: _Wire, default: AuthMethod) -> AuthMethod:
    for method in get_args(AuthMethod):
        if method == (wire.token_endpoint_auth_method or default):
            return cast(AuthMethod, method)
    raise InvalidClientMetadata("The token_endpoint_auth_method is not supported")


def _grant_types(wire: _Wire, policy: Policy) -> tuple[str, ...]:
    if wire.grant_types is None:
        return tuple(sorted(policy.agent_grant_types))
    allowed = tuple(dict.fromkeys(grant for grant in wire.grant_types if grant in policy.agent_grant_types))
    if not allowed:
        raise InvalidClientMetadata("None of the grant_types is allowed")
    return allowed


def _extras(document: Mapping[str, object]) -> dict[str, str]:
    extras: dict[str, str] = {}
    for name in _LINKS + _TEXTS:
        value = document.get(name)
        if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_LENGTH and _repeatable(name, value):
            extras[name] = value
    return extras


def _repeatable(name: str, value: str) -> bool:
    if name in _TEXTS:
        return value.isprintable()
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return value.isascii() and parts.scheme in ("http", "https") and bool(parts.hostname)
