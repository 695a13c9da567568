"""Reading the JSON-RPC message of a request so that nobody after us can read it differently."""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NoReturn, cast

from starlette.types import Scope

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600

MAX_DEPTH: Final = 64
"""Of nested arrays and objects. Arguments need a handful; readers after us go down by recursion."""

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")

_ONCE: Final = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"mcp-method",
        b"mcp-name",
        b"mcp-protocol-version",
        b"mcp-session-id",
    }
)
"""Headers of which two readers could each take another one, if there were two."""


class MalformedMessage(Exception):
    """The body is not one JSON-RPC message. `code` is the JSON-RPC error code, `status` HTTP's."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    def document(self) -> dict[str, object]:
        """Return the JSON-RPC error response; the id is unknown (JSON-RPC 2.0 §5)."""
        return {"jsonrpc": "2.0", "id": None, "error": {"code": self.code, "message": str(self)}}


def check_headers(scope: Scope) -> None:
    """Return if the headers leave one way to read the body: JSON in UTF-8, as it is.

    Raises:
        MalformedMessage: they do not.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _ONCE and found.setdefault(name, value) is not value:
            raise MalformedMessage(INVALID_REQUEST, f"The header {name.decode()} must not be repeated")
    if found.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise MalformedMessage(INVALID_REQUEST, "The body must not be encoded", status=415)
    media_type, _, parameters = found.get(b"content-type", b"").lower().partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"")
    if media_type.strip() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise MalformedMessage(
            INVALID_REQUEST, "The Content-Type must be application/json, in UTF-8", status=415
        )


def parse_message(body: bytes) -> Mapping[str, Any]:
    """Return the one JSON object in the body.

    Two readers of one body must see one message: a key that is there twice, another encoding than UTF-8,
    half a character or a number that is not JSON is refused, since the next reader could take it for
    something else.

    Raises:
        MalformedMessage: with -32700 or -32600.
    """
    if _too_deep(body):
        raise MalformedMessage(PARSE_ERROR, f"Parse error: nested more than {MAX_DEPTH} levels deep")
    try:
        message: object = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_json, parse_float=_finite
        )
        if b"\\u" in body:
            # An escape can be half of a surrogate pair, which nobody can write as UTF-8.
            json.dumps(message, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise MalformedMessage(PARSE_ERROR, "Parse error") from None
    if not isinstance(message, dict):
        raise MalformedMessage(INVALID_REQUEST, "The body must be a single JSON-RPC message")
    return cast("dict[str, Any]", message)


def _too_deep(body: bytes) -> bool:
    """Tell whether the body is nested too deep, without nesting."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", body)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated key")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("not a number that a double holds")
    return number


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)
