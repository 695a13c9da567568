"""Where orders and quotes are kept: a URL says which of the two stores (docs/adr/0031)."""

from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from authcore.redis_client import require_redis_url
from stocks.orders import OrderStore
from stocks.quotes import QuoteStore
from stocks.redis_store import RedisStore
from stocks.sqlite_store import SqliteStore


class Store(OrderStore, QuoteStore, Protocol):
    """Holds both."""

    async def __aenter__(self) -> Self:
        """Open it for the life of the process."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        ...

    async def check(self) -> None:
        """Return if it can be used and keeps what it is given; else raise `TemporarilyUnavailable`."""
        ...


def require_store_url(url: str) -> None:
    """Return if the URL names a store.

    Raises:
        ValueError: it does not. The URL is not quoted: there may be a password in it.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2 or parts.query or parts.fragment:
            raise ValueError("must be sqlite:///relative/path or sqlite:////absolute/path")
        if not _sqlite_path(url).parent.is_dir():
            raise ValueError("names a file in a directory that does not exist")
        return
    try:
        require_redis_url(url)
    except ValueError:
        raise ValueError("must be a sqlite://, redis://, rediss:// or unix:// URL") from None


def store_of(url: str) -> Store:
    """Return the store that the URL names, still to be opened."""
    if urlsplit(url).scheme == "sqlite":
        return SqliteStore(_sqlite_path(url))
    return RedisStore(url)


def _sqlite_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path[1:]))
