"""`WWW-Authenticate` of a resource: `Bearer` (RFC 6750 §3, RFC 9728 §5.1) and `DPoP` (RFC 9449 §7.1)."""

import re
from collections.abc import Iterable

from authcore.errors import InsufficientScope, InsufficientUserAuthentication, OAuthError

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
    return _challenge("Bearer", error, scope, {"resource_metadata": resource_metadata})


def dpop_challenge(
    error: OAuthError | None,
    *,
    algorithms: Iterable[str],
    scope: Iterable[str] = (),
    resource_metadata: str | None = None,
) -> str:
    """Return the challenge that asks for a token bound to a key, and a proof (RFC 9449 §7.1).

    Args:
        error: why; `None` where another challenge beside this one says it.
        algorithms: what proofs may be signed with.
        scope: as for `bearer_challenge`.
        resource_metadata: as for `bearer_challenge`.
    """
    algs = " ".join(algorithms)
    return _challenge("DPoP", error, scope, {"algs": algs, "resource_metadata": resource_metadata})


def _challenge(
    scheme: str, error: OAuthError | None, scope: Iterable[str], others: dict[str, str | None]
) -> str:
    parameters: dict[str, str | None] = {}
    if error is not None and error.error is not None:
        parameters |= {"error": error.error, "error_description": error.description or None}
    if isinstance(error, InsufficientUserAuthentication):
        parameters |= error.demand.challenge()
    wanted = error.scope if isinstance(error, InsufficientScope) else tuple(scope)
    parameters["scope"] = " ".join(wanted) or None
    given = [(name, value) for name, value in (parameters | others).items() if value is not None]
    quoted = ", ".join(f'{name}="{_quotable(value)}"' for name, value in given)
    return f"{scheme} {quoted}".rstrip()


def _quotable(value: str) -> str:
    return _NOT_QUOTABLE.sub("?", value)
