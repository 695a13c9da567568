"""`WWW-Authenticate: Bearer` (RFC 6750 §3, RFC 9728 §5.1)."""

import re
from collections.abc import Iterable

from authcore.errors import InsufficientScope, OAuthError

# RFC 6750 §3: printable ASCII without `"` and `\`; anything else would need escaping that clients get wrong.
_NOT_QUOTABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


def bearer_challenge(
    error: OAuthError, *, scope: Iterable[str] = (), resource_metadata: str | None = None
) -> str:
    """Return the header value for a refusal. Every parameter is quoted.

    A request without credentials gets no `error` (RFC 6750 §3.1).

    Args:
        error: why; its description is shown to the client.
        scope: what to ask for; all scopes of the operation. An `InsufficientScope` brings its own.
        resource_metadata: URL of the RFC 9728 document.
    """
    wanted = error.scope if isinstance(error, InsufficientScope) else tuple(scope)
    parameters: dict[str, str] = {}
    if error.error is not None:
        parameters["error"] = error.error
        if error.description:
            parameters["error_description"] = error.description
    if wanted:
        parameters["scope"] = " ".join(wanted)
    if resource_metadata is not None:
        parameters["resource_metadata"] = resource_metadata
    if not parameters:
        return "Bearer"
    return "Bearer " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in parameters.items())


def _quotable(value: str) -> str:
    return _NOT_QUOTABLE.sub("?", value)
