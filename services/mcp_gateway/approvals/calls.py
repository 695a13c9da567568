"""One call that somebody has to agree to: whose it is, and exactly what would be done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from mcp.types import Tool

from authcore.claims import VerifiedToken
from authcore.key_ring import base64url

MAX_SHOWN_CHARACTERS: Final = 4000
"""More than that nobody reads before agreeing to it."""


class UnreadableCall(Exception):
    """The call cannot be shown to a person as it is. The message says why, fit for the model."""


@dataclass(frozen=True, slots=True)
class Call:
    """Two calls are the same if every part of them is."""

    issuer: str
    subject: str
    client_id: str
    tool: str
    arguments: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """What stands for the call wherever it is compared: SHA-256 of its one canonical spelling."""
        return base64url(hashlib.sha256(_canonical(self.document()).encode()).digest())

    def document(self) -> dict[str, Any]:
        """Return the call as JSON can hold it."""
        return {
            "iss": self.issuer,
            "sub": self.subject,
            "client": self.client_id,
            "tool": self.tool,
            "arguments": dict(self.arguments),
        }

    def is_of(self, issuer: str, subject: str) -> bool:
        """Tell whether the user is the one on whose behalf the call is made."""
        return (self.issuer, self.subject) == (issuer, subject)


def call_of(token: VerifiedToken, tool: str, arguments: Mapping[str, Any]) -> Call:
    """Return the call.

    Raises:
        UnreadableCall: the token does not say which client it was issued to, so nobody could be named.
    """
    if token.client_id is None:
        raise UnreadableCall("the access token does not name the client it was issued to")
    return Call(token.issuer, token.subject, token.client_id, tool, arguments)


def call_from(document: Mapping[str, Any]) -> Call:
    """Return the call that `Call.document` described."""
    return Call(*(document[name] for name in ("iss", "sub", "client", "tool", "arguments")))


def shown(definition: Tool, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every argument, for a person to read: its title, and its value with nothing in it that hides.

    Raises:
        UnreadableCall: there is more of it than anybody would read.
    """
    properties = cast("dict[str, dict[str, Any]]", definition.input_schema.get("properties", {}))
    # In the order of the schema, then whatever else was sent: nothing is left out.
    names = [
        *(name for name in properties if name in arguments),
        *(n for n in arguments if n not in properties),
    ]
    rows = [(_label(name, properties), visible(_text(arguments[name]))) for name in names]
    if sum(len(label) + len(value) for label, value in rows) > MAX_SHOWN_CHARACTERS:
        raise UnreadableCall("its arguments are longer than a person can be expected to read")
    return rows


def _label(name: str, properties: Mapping[str, Mapping[str, Any]]) -> str:
    if name not in properties:
        return visible(name)
    return str(properties[name].get("title") or name.replace("_", " ").capitalize())


def visible(text: str) -> str:
    """Return the text with everything escaped that a screen would not show, or show in another order."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else _canonical(value)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
