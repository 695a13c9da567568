"""Claims of a token, from whatever names an authorization server gives them (RFC 7519, RFC 9068, RFC 8693).

Nothing here verifies anything: `validator.py` does, and it alone constructs `VerifiedToken`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from authcore.errors import InvalidToken

MAX_ACTOR_DEPTH = 8
"""Longest `act` chain that is read; a deeper one is refused, not cut (RFC 8693 §4.1)."""


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Where an authorization server puts what has no standard name. The first claim present wins.

    A name that begins with `/` is a JSON Pointer into the claims (RFC 6901): `/ext/session`.
    """

    delegation: tuple[str, ...] = ("delegationId",)
    """`sid+azp` is one name made of two claims, which must both be there."""
    client: tuple[str, ...] = ("client_id", "azp", "cid")
    scope: tuple[str, ...] = ("scope", "scp")
    subject: tuple[str, ...] = ("sub",)


@dataclass(frozen=True, slots=True)
class ContextClaims:
    """The claims the API decides by besides scope. `None` means absent; level 0 is a level."""

    region: str | None = None
    client_type: str | None = None
    client_assurance_level: int | None = None
    purpose: str | None = None

    def missing(self) -> tuple[str, ...]:
        """Return the names of the required context claims that are absent."""
        required = {
            "region": self.region,
            "client_type": self.client_type,
            "client_assurance_level": self.client_assurance_level,
        }
        return tuple(name for name, value in required.items() if value is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """Claims whose signature, issuer, audience and lifetime were checked. Holds no token."""

    issuer: str
    subject: str
    audience: frozenset[str]
    scope: frozenset[str]
    expires_at: int
    issued_at: int | None = None
    token_id: str | None = None
    client_id: str | None = None
    delegation_id: str | None = None
    context: ContextClaims = field(default_factory=ContextClaims)
    actors: tuple[str, ...] = ()
    """Who acts, the current actor first (RFC 8693 §4.1)."""
    confirmation: Mapping[str, str] = field(default_factory=dict[str, str])
    """The `cnf` members that bind the token to a key (RFC 7800 §3.1)."""


def parse_scope(value: object) -> frozenset[str]:
    """Return the scopes of a space-separated string or an array of strings (RFC 6749 §3.3).

    Raises:
        InvalidToken: it is neither.
    """
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        items = cast("list[object]", value)
        return frozenset(_text(item, "scope") for item in items)
    raise InvalidToken("The token's scope is malformed")


def format_scope(scope: frozenset[str]) -> str:
    """Return the scopes sorted and separated by one space: equal sets give equal strings."""
    return " ".join(sorted(scope))


def covers(granted: frozenset[str], required: frozenset[str]) -> bool:
    """Tell whether the granted scopes reach every required one.

    A scope contains what is below it: `stocks` grants `stocks/read`, never the other way round.
    """
    return all(_reaches(granted, scope) for scope in required)


def common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Return the scopes that both sets reach: `stocks` and `stocks/read` have `stocks/read` in common."""
    return frozenset(scope for scope in one | other if _reaches(one, scope) and _reaches(other, scope))


def _reaches(granted: frozenset[str], scope: str) -> bool:
    while scope not in granted:
        scope, slash, _ = scope.rpartition("/")
        if not slash:
            return False
    return True


def audience_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return `aud` as a set, whether it is one string or an array (RFC 7519 §4.1.3)."""
    value = claims.get("aud")
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, list):
        items = cast("list[object]", value)
        return frozenset(_text(item, "aud") for item in items)
    raise InvalidToken("The token has no audience")


def first_claim(claims: Mapping[str, Any], names: tuple[str, ...]) -> object:
    """Return the first of the named claims that is present, or nothing."""
    for name in names:
        value = _claim(claims, name)
        if value is not None:
            return value
    return None


def first_text(claims: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of the named claims that is present, as text."""
    value = first_claim(claims, names)
    return None if value is None else _text(value, " or ".join(names))


def delegation_id_of(claims: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the delegation a token belongs to, by the first name all of whose claims are present.

    Raises:
        InvalidToken: a claim is not text, or holds what separates the parts of a name.
    """
    for name in names:
        parts = [_claim(claims, part) for part in name.split("+")]
        if None not in parts:
            texts = [_text(part, name) for part in parts]
            # Two different lists of parts must never give the same name.
            if len(texts) > 1 and any("~" in text for text in texts):
                raise InvalidToken(f"The token's {name} is malformed")
            return "~".join(texts)
    return None


def _claim(claims: Mapping[str, Any], name: str) -> object:
    if not name.startswith("/"):
        return claims.get(name)
    value: object = claims
    for token in name[1:].split("/"):
        if not isinstance(value, dict):
            return None
        members = cast("dict[str, object]", value)
        value = members.get(token.replace("~1", "/").replace("~0", "~"))
    return value


def context_of(claims: Mapping[str, Any]) -> ContextClaims:
    """Return the context claims.

    Raises:
        InvalidToken: one of them has the wrong type. A wrong type is never read as absent.
    """
    level = claims.get("client_assurance_level")
    if level is not None and (not isinstance(level, int) or isinstance(level, bool)):
        raise InvalidToken("The token's client_assurance_level is not a number")
    return ContextClaims(
        region=first_text(claims, ("region",)),
        client_type=first_text(claims, ("client_type",)),
        client_assurance_level=level,
        purpose=first_text(claims, ("purpose",)),
    )


def actors_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the `sub` of every link of the `act` chain, the current actor first.

    Raises:
        InvalidToken: a link is malformed, or there are more than `MAX_ACTOR_DEPTH`.
    """
    actors: list[str] = []
    link: object = claims.get("act")
    while link is not None:
        if not isinstance(link, dict) or len(actors) == MAX_ACTOR_DEPTH:
            raise InvalidToken("The token's actor chain is malformed")
        members = cast("dict[str, Any]", link)
        actors.append(_text(members.get("sub"), "act.sub"))
        link = members.get("act")
    return tuple(actors)


def confirmation_of(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return the members of `cnf`, empty when the token is a plain bearer token.

    Raises:
        InvalidToken: a member is not text. A binding that is not understood must not be dropped.
    """
    value = claims.get("cnf")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidToken("The token's cnf is malformed")
    members = cast("dict[str, object]", value)
    return {name: _text(member, "cnf") for name, member in members.items()}


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidToken(f"The token's {name} is malformed")
    return value
