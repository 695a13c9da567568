"""One spelling for what names a host (RFC 3986 §6.2.2, RFC 9110 §4.2.3)."""

from urllib.parse import urlsplit, urlunsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def normal_host(host: str) -> str:
    """Return a `Host` header in lower case, without a default port."""
    return host.lower().removesuffix(":443").removesuffix(":80")


def normal_url(url: str) -> str:
    """Return the URL with scheme and host in lower case and without its scheme's default port.

    Raises:
        ValueError: not an http(s) URL, or one with user information, query or fragment (RFC 8707 §2).
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be an http(s) URL")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must have no user information, query or fragment (RFC 8707 §2)")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))
