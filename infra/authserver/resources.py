"""Which resource a client means (RFC 8707 §2)."""

from collections.abc import Collection
from urllib.parse import urlsplit, urlunsplit

from authcore.errors import InvalidTarget


def requested_audience(requested: list[str], allowed: Collection[str], *, default: str) -> str:
    """Return the audience that a request's `resource` parameters name.

    Upper case in scheme and host, and one slash at the end, make no difference (MCP authorization,
    canonical server URI).

    Args:
        requested: the parameters; none asks for the default.
        allowed: audiences the client may have.
        default: what a request without the parameter gets.

    Raises:
        InvalidTarget: unknown, not for this client, or more than one.
    """
    if len(requested) == 1 and requested[0] in allowed:
        return requested[0]
    names = {_normal(audience): audience for audience in allowed}
    if not requested:
        requested = [default]
    found = {names.get(_normal(resource)) for resource in requested}
    if len(found) != 1:
        raise InvalidTarget("A token can be for one resource only")
    audience = found.pop()
    if audience is None:
        raise InvalidTarget("The requested resource is unknown")
    return audience


def _normal(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    rest = urlunsplit(("", "", parts.path, parts.query, parts.fragment))
    if not parts.scheme or not parts.netloc:
        return uri
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{rest.removesuffix('/')}"
