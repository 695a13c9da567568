"""`Idempotency-Key`: a request that is repeated is carried out once.

Spec: draft-ietf-httpapi-idempotency-key-header. What the draft calls the fingerprint are the terms of the
order that was placed: a key stands for one order for good, so there is nothing to expire.
"""

import re
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from stocks.problems import IDEMPOTENCY_KEY_REQUIRED, Problem

REPLAYED: Final = "idempotent-replayed"
"""On an answer that was given before: this request has done nothing."""

_KEY: Final = r"[A-Za-z0-9._~:+/=-]{1,128}"
PATTERN: Final = rf'^({_KEY}|"{_KEY}")$'
"""A string of RFC 9651, or without its quotes, as most clients send it: both spell the same key."""

_WHOLE: Final = re.compile(PATTERN, re.ASCII)

# Described by hand: FastAPI would answer for a header that is missing, in its own words.
DESCRIBED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "schema": {"type": "string", "pattern": PATTERN},
            "description": "Chosen by the caller, another one for each order. Send it again with a request "
            "whose answer did not arrive: it has the same answer and no second order.",
        }
    ]
}


async def _idempotency_key(request: Request) -> str:
    """Return the one key of the request, without quotes.

    Raises:
        Problem: idempotency-key-required.
    """
    values = request.headers.getlist("idempotency-key")
    if len(values) != 1 or not _WHOLE.fullmatch(values[0]):
        raise Problem(
            IDEMPOTENCY_KEY_REQUIRED,
            "Send one Idempotency-Key header of 1 to 128 characters out of letters, digits and ._~:+/=-, "
            "such as a UUID, and the same one again when you repeat the request",
        )
    return values[0].strip('"')


IdempotencyKey = Annotated[str, Depends(_idempotency_key)]
