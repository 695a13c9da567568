"""Pushed authorization requests: sent by the client itself, referred to by the browser (RFC 9126)."""

from typing import Final
from urllib.parse import urlencode

from authcore.errors import InvalidRequest
from authcore.forms import Form, parse_form
from authserver.database import Database
from authserver.secret_values import new_secret, secret_hash

LIFETIME_SECONDS: Final = 90
MAX_LENGTH: Final = 8192
URI_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"

_CREDENTIALS: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


class PushedRequests:
    """What was pushed and waits for a browser."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, client_id: str, form: Form, now: int) -> str:
        """Keep a request without the client's credentials; return the `request_uri` that stands for it.

        Raises:
            InvalidRequest: it is longer than a request in a URL could be.
        """
        parts = [(name, value) for name, value in form if name not in _CREDENTIALS and name != "client_id"]
        # With HTTP Basic or an assertion alone the form names no client.
        parameters = urlencode([("client_id", client_id), *parts])
        if len(parameters) > MAX_LENGTH:
            raise InvalidRequest("The request is too long")
        secret = new_secret()
        await self._database.write(
            "INSERT INTO pushed_requests (request_hash, client_id, parameters, expires_at)"
            " VALUES (?, ?, ?, ?)",
            secret_hash(secret),
            client_id,
            parameters,
            now + LIFETIME_SECONDS,
        )
        return URI_PREFIX + secret

    async def take(self, request_uri: str, client_id: str, now: int) -> Form | None:
        """Return the request that this client pushed, once."""
        rows = await self._database.write(
            "DELETE FROM pushed_requests WHERE request_hash = ? AND client_id = ? AND expires_at > ?"
            " RETURNING parameters",
            secret_hash(request_uri.removeprefix(URI_PREFIX)),
            client_id,
            now,
        )
        return parse_form(rows[0]["parameters"]) if rows else None
