"""What differs between authorization servers, as data: one `Profile`, checked before anything is served."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from authcore.claims import ClaimNames
from authcore.oauth2_types import TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT
from authcore.validator import ASYMMETRIC_ALGORITHMS
from token_broker.profile_file import KeyPath, ProfileError, read_profile

Reason = Annotated[str, StringConstraints(min_length=20)]
"""Why a check is relaxed: a sentence for whoever reviews the deployment."""
Name = Annotated[str, StringConstraints(min_length=1)]


class Table(BaseModel):
    """A table of the file. What is not known is refused, so that a slip of the pen cannot relax anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClientTable(Table):
    """How the broker proves who it is (RFC 6749 §2.3, RFC 7523 §2.2)."""

    authentication: Literal["private_key_jwt", "client_secret_basic", "client_secret_post"]
    assertion_audience: Literal["issuer", "token_endpoint", "endpoint"] = "issuer"
    """`aud` of assertions; `endpoint` is whichever is called."""


class IntrospectionTable(Table):
    """How the server says what a presented token stands for."""

    mode: Literal["phantom_204", "json_jwt_field", "json", "rfc9701", "local_jwt"]
    field: Name = "jwt"
    """`json_jwt_field`: the member that holds the JWT."""
    accept: Literal["application/json", "application/jwt"] = "application/json"
    """`json_jwt_field`: what has to be asked for to get it."""
    activity: bool = False
    """`local_jwt`: also ask the server whether the token is still active."""

    @property
    def asks(self) -> bool:
        """Whether the server is asked at all."""
        return self.mode != "local_jwt" or self.activity


class ExchangeTable(Table):
    """How the server wants to be asked for a token for another audience."""

    adapter: Literal["rfc8693", "entra_obo", "assertion_7523"]
    target: Literal["audience", "resource", "scope"]
    """The parameter that names the target."""
    scope: Literal["send", "none", "in_target", "default"]
    """`in_target` sends `<target>/<scope>`, `default` sends `<target>/.default`."""
    requested_token_type: Literal["access_token", "jwt", "none"] = "none"  # noqa: S105  not a secret

    actor: Literal["none", "caller"] = "none"
    """`caller` names the broker's caller in an `actor_token`, signed with the broker's key (`rfc8693`)."""

    @property
    def requested_type_urn(self) -> str | None:
        """The value of `requested_token_type` (RFC 8693 §3)."""
        urns = {"access_token": TOKEN_TYPE_ACCESS_TOKEN, "jwt": TOKEN_TYPE_JWT}
        return urns.get(self.requested_token_type)


class Target(Table):
    """What a resource or an API is called at this server, where that is not its own name."""

    value: Name
    """What to send for it."""
    aud: Name
    """What its tokens have in `aud`."""


class TokensTable(Table):
    """What the server's tokens look like."""

    subject: Literal["opaque", "jwt"]
    """The form of the tokens that agents present."""
    types: frozenset[str] = frozenset({"at+jwt"})
    """Accepted `typ`; none at all accepts any."""
    algorithms: frozenset[str]

    @field_validator("types")
    @classmethod
    def _lower(cls, value: frozenset[str]) -> frozenset[str]:
        return frozenset(kind.lower().removeprefix("application/") for kind in value)

    @field_validator("algorithms")
    @classmethod
    def _are_asymmetric(cls, value: frozenset[str]) -> frozenset[str]:
        if not value or not value <= ASYMMETRIC_ALGORITHMS:
            raise ValueError("must be asymmetric signature algorithms")
        return value


class ClaimsTable(Table):
    """Where the server puts what has no standard name; see `authcore.claims.ClaimNames`."""

    delegation: tuple[Name, ...] = ()
    client: tuple[Name, ...] = ("client_id", "azp", "cid")
    scope: tuple[Name, ...] = ("scope", "scp")
    subject: tuple[Name, ...] = ("sub",)


class RevocationTable(Table):
    """What a revocation at the server reaches by itself."""

    reaches_derived_tokens: bool
    believed_seconds: int | None = Field(default=None, ge=1, le=3600)
    """How long the broker believes its memory before it asks again."""


class Relaxations(Table):
    """Checks that the product's tokens cannot pass, each with the reason. Absent means checked."""

    outlives_subject: Reason | None = None
    """A derived token may expire after its subject. It is given out only while the subject lives."""
    scope_not_narrowed: Reason | None = None
    """A derived token may have scopes that were not asked for. They are within the subject's all the same."""
    delegation_not_carried: Reason | None = None
    """The delegation claim of a derived token says something else than that of its subject."""
    other_subject_claim: Reason | None = None
    """Users are compared by another claim than `sub`."""
    any_token_type: Reason | None = None
    """`typ` is not looked at."""
    revocation_unseen: Reason | None = None
    """Nobody is asked whether a presented JWT is still active."""


class Profile(Table):
    """One authorization server product. Where it is, and who we are there, is in the settings."""

    client: ClientTable
    introspection: IntrospectionTable
    exchange: ExchangeTable
    tokens: TokensTable
    claims: ClaimsTable = ClaimsTable()
    revocation: RevocationTable
    relaxations: Relaxations = Relaxations()
    targets: dict[Name, Target] = {}

    @property
    def claim_names(self) -> ClaimNames:
        """The claims for the validator."""
        claims = self.claims
        return ClaimNames(claims.delegation, claims.client, claims.scope, claims.subject)

    @property
    def accepted_types(self) -> frozenset[str] | None:
        """The accepted `typ` for the validator."""
        return self.tokens.types or None

    def target(self, name: str) -> Target:
        """Return what a resource or an API is called at the server."""
        return self.targets.get(name) or Target(value=name, aud=name)

    def believed_until(self, expires_at: int, now: int) -> int:
        """Return until when an answer of `now` may be used from memory."""
        limit = self.revocation.believed_seconds
        return expires_at if limit is None else min(expires_at, now + limit)


def load_profile(name: str) -> Profile:
    """Return the profile of this name or path.

    Raises:
        ProfileError: it cannot be used; the message names file and line of each reason.
    """
    document = read_profile(name)
    try:
        profile = Profile.model_validate(document.values)
    except ValidationError as error:
        problems = [
            (tuple(str(part) for part in problem["loc"]), problem["msg"])
            for problem in error.errors(include_input=False, include_url=False)
        ]
    else:
        problems = list(_contradictions(profile))
        if not problems:
            return profile
    lines = [f"{document.place(key)}: {'.'.join(key)}: {message}" for key, message in problems]
    raise ProfileError("\n".join(lines))


def _contradictions(profile: Profile) -> Iterator[tuple[KeyPath, str]]:
    yield from _exchange_contradictions(profile)
    yield from _introspection_contradictions(profile)
    yield from _unexplained(profile)
    revocation = profile.revocation
    if not revocation.reaches_derived_tokens and revocation.believed_seconds is None:
        yield (
            ("revocation", "reaches_derived_tokens"),
            "revocation.believed_seconds must limit how long a revoked delegation is served from memory",
        )


def _exchange_contradictions(profile: Profile) -> Iterator[tuple[KeyPath, str]]:
    exchange = profile.exchange
    if (exchange.target == "scope") != (exchange.scope in ("in_target", "default")):
        yield ("exchange", "scope"), 'in_target and default go with target = "scope", and it with them'
    if exchange.actor != "none" and exchange.adapter != "rfc8693":
        yield ("exchange", "actor"), "only rfc8693 can name an actor"
    if exchange.actor != "none" and profile.client.authentication != "private_key_jwt":
        yield ("exchange", "actor"), "an actor token is signed with the key of private_key_jwt"
    if exchange.adapter == "entra_obo" and exchange.target != "scope":
        yield ("exchange", "target"), "entra_obo names its target within the scope"
    if exchange.adapter == "entra_obo" and profile.tokens.subject != "jwt":
        yield ("tokens", "subject"), "entra_obo can exchange JWTs only"
    if exchange.adapter == "assertion_7523" and not profile.introspection.asks:
        yield (
            ("exchange", "adapter"),
            "with assertion_7523 the server never sees the subject token, so it must be asked about it first",
        )
    if exchange.adapter == "assertion_7523" and profile.revocation.reaches_derived_tokens:
        yield ("revocation", "reaches_derived_tokens"), "tokens by assertion_7523 belong to no delegation"


def _introspection_contradictions(profile: Profile) -> Iterator[tuple[KeyPath, str]]:
    introspection, subject = profile.introspection, profile.tokens.subject
    if introspection.mode == "local_jwt" and subject != "jwt":
        yield ("introspection", "mode"), "local_jwt needs tokens that are JWTs"
    if introspection.mode in ("json", "rfc9701") and subject != "opaque":
        yield ("introspection", "mode"), "for tokens that are JWTs there is local_jwt, with activity = true"
    if introspection.activity and introspection.mode != "local_jwt":
        yield ("introspection", "activity"), "is for local_jwt; the other modes ask anyway"


def _unexplained(profile: Profile) -> Iterator[tuple[KeyPath, str]]:
    """Relaxations that other keys imply must be named too."""
    relaxations = profile.relaxations
    implied = {
        ("claims", "subject"): (profile.claims.subject != ("sub",), "other_subject_claim"),
        ("tokens", "types"): (not profile.tokens.types, "any_token_type"),
        ("introspection", "mode"): (not profile.introspection.asks, "revocation_unseen"),
    }
    for key, (relaxed, name) in implied.items():
        if relaxed != (getattr(relaxations, name) is not None):
            yield key, f"this and relaxations.{name} = <why> go together"
