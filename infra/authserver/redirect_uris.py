"""Which redirect URIs may be registered, and which match (RFC 6749 §3.1.2, RFC 8252, RFC 9700 §2.1)."""

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from authcore.errors import InvalidRedirectUri
from authserver.settings import LOOPBACK_HOSTS

MAX_URI_LENGTH: Final = 2000

# Printable ASCII without what browsers and parsers read differently, and without the usual wildcard.
_CHARACTERS = re.compile(r"[!$%&'()+,./0-9:;=?@A-Z\[\]_a-z~-]+")
_REVERSE_DOMAIN_SCHEME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", re.IGNORECASE)
_LOOPBACK = re.compile(r"http://(?P<host>127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?(?P<rest>[/?].*)?")


def check_redirect_uri(uri: str, *, native: bool, schemes: frozenset[str] = frozenset()) -> None:
    """Return if a client may register this redirect URI.

    Args:
        uri: as the client wrote it; nothing is normalised.
        native: whether the client calls itself a native application; only then may it have a private-use
            scheme, and only one in reverse domain notation (RFC 8252 §7.1).
        schemes: other private-use schemes that policy lets every client have.

    Raises:
        InvalidRedirectUri: it may not.
    """
    if len(uri) > MAX_URI_LENGTH or not _CHARACTERS.fullmatch(uri):
        raise InvalidRedirectUri("A redirect URI is too long or holds a character that is not allowed")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise InvalidRedirectUri("A redirect URI is malformed") from None
    if "@" in parts.netloc or port == 0 or parts.netloc.endswith(":"):
        raise InvalidRedirectUri("A redirect URI must not hold user information or an empty port")
    if any(segment in (".", "..") for segment in re.split(r"[/\\]", unquote(parts.path))):
        raise InvalidRedirectUri("A redirect URI must not hold dot segments")
    if parts.scheme not in schemes:
        _check_scheme(uri, parts, native=native)


def _check_scheme(uri: str, parts: SplitResult, *, native: bool) -> None:
    if parts.scheme in ("http", "https"):
        if (
            not uri.startswith(f"{parts.scheme}://")
            or not parts.hostname
            or not _HOST.fullmatch(parts.hostname)
        ):
            raise InvalidRedirectUri("A redirect URI must name a host")
        if parts.scheme == "http" and not is_loopback(uri):
            raise InvalidRedirectUri("A redirect URI must use https, or http on a loopback address")
    elif not native or not _REVERSE_DOMAIN_SCHEME.fullmatch(parts.scheme):
        raise InvalidRedirectUri(
            "A private-use scheme needs application_type native and reverse domain notation, "
            "or a place in this server's AUTHSERVER_PRIVATE_USE_SCHEMES"
        )


def is_loopback(uri: str) -> bool:
    """Tell whether the URI stays on the user's machine over plain http."""
    return _LOOPBACK.fullmatch(uri) is not None


def matches(registered: str, presented: str) -> bool:
    """Tell whether a request's redirect URI is the registered one.

    It must be the same string; of loopback URIs the port may differ, as a native application takes the one
    that is free (RFC 8252 §7.3).
    """
    if registered == presented:
        return True
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(presented)
    return (
        ours is not None
        and theirs is not None
        and ours["host"] == theirs["host"]
        and ours["rest"] == theirs["rest"]
        and _valid_port(presented)
    )


def _valid_port(uri: str) -> bool:
    try:
        return urlsplit(uri).port != 0
    except ValueError:
        return False


def shown_target(uri: str) -> str:
    """Return what to tell the user about where a redirect goes: its host, or its private-use scheme."""
    parts = urlsplit(uri)
    # What looks like a host in another scheme is one to nobody, and could be chosen to deceive.
    return parts.netloc if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def stays_local(uri: str) -> bool:
    """Tell whether the redirect goes to a program on the user's own machine."""
    parts = urlsplit(uri)
    return parts.scheme not in ("http", "https") or (parts.hostname or "").lower() in LOOPBACK_HOSTS
