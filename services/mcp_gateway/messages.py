"""Reading the JSON-RPC message of a request so that nobody after us can read it differently."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn, cast

PARSE_ERROR = -32700
INVALID_REQUEST = -32600


class MalformedMessage(Exception):
    """The body is not one JSON-RPC message. `code` is the JSON-RPC error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def document(self) -> dict[str, object]:
        """Return the JSON-RPC error response; the id is unknown (JSON-RPC 2.0 §5)."""
        return {"jsonrpc": "2.0", "id": None, "error": {"code": self.code, "message": str(self)}}


def parse_message(body: bytes) -> Mapping[str, Any]:
    """Return the one JSON object in the body.

    Two readers of one body must see one message: a key that is there twice, another encoding than UTF-8 or
    a number that is not JSON is refused, since the next reader could take it for something else.

    Raises:
        MalformedMessage: with -32700 or -32600.
    """
    try:
        message: object = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_json
        )
    except (ValueError, RecursionError):
        raise MalformedMessage(PARSE_ERROR, "Parse error") from None
    if not isinstance(message, dict):
        raise MalformedMessage(INVALID_REQUEST, "The body must be a single JSON-RPC message")
    return cast("dict[str, Any]", message)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated key")
    return members


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)
