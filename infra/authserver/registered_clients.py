"""Clients that registered themselves (RFC 7591, RFC 7592)."""

import json
from dataclasses import dataclass
from typing import Any, cast

from authserver.client_metadata import AcceptedMetadata
from authserver.clients import Client, client_of
from authserver.database import Database
from authserver.secret_values import new_identifier, new_secret, secret_hash
from authserver.state_thread import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A registration as it is stored."""

    client_id: str
    metadata: dict[str, Any]
    """What `AcceptedMetadata.document` gave."""
    secret_hash: bytes | None
    management_hash: bytes
    """Of the registration access token."""
    registered_at: int


class RegisteredClients:
    """All registrations."""

    def __init__(self, database: Database, *, audience: str) -> None:
        self._database = database
        self._audience = audience

    async def add(self, metadata: AcceptedMetadata, now: int) -> tuple[RegisteredClient, str, str | None]:
        """Store a new client; return it with the only copies of its registration access token and secret."""
        management_token, secret = new_secret(), _secret_for(metadata)
        registered = RegisteredClient(
            client_id=new_identifier(),
            metadata=metadata.document(),
            secret_hash=None if secret is None else secret_hash(secret),
            management_hash=secret_hash(management_token),
            registered_at=now,
        )
        await self._database.write(
            "INSERT INTO clients (client_id, secret_hash, management_hash, metadata, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            registered.client_id,
            registered.secret_hash,
            registered.management_hash,
            json.dumps(registered.metadata),
            now,
        )
        return registered, management_token, secret

    async def read(self, client_id: str) -> RegisteredClient | None:
        """Return the registration with this id."""
        row = await self._database.first("SELECT * FROM clients WHERE client_id = ?", client_id)
        return None if row is None else _registered(row)

    async def find(self, client_id: str) -> Client | None:
        """Return the client with this id, if it registered."""
        registered = await self.read(client_id)
        return None if registered is None else self._client(registered)

    async def newest(self, count: int) -> list[Client]:
        """Return those that registered last, the last one first."""
        rows = await self._database.all("SELECT * FROM clients ORDER BY created_at DESC LIMIT ?", count)
        return [self._client(_registered(row)) for row in rows]

    async def replace(self, registered: RegisteredClient, metadata: AcceptedMetadata) -> str | None:
        """Store other metadata; return the secret that the client needs now, if it had none."""
        stays = registered.secret_hash is not None and metadata.auth_method.startswith("client_secret_")
        secret = None if stays else _secret_for(metadata)
        hashed = registered.secret_hash if stays else None if secret is None else secret_hash(secret)
        await self._database.write(
            "UPDATE clients SET metadata = ?, secret_hash = ? WHERE client_id = ?",
            json.dumps(metadata.document()),
            hashed,
            registered.client_id,
        )
        return secret

    async def remove(self, client_id: str) -> None:
        """Forget a client."""
        await self._database.write("DELETE FROM clients WHERE client_id = ?", client_id)

    def _client(self, registered: RegisteredClient) -> Client:
        return client_of(
            registered.client_id,
            registered.metadata,
            origin="registered",
            audience=self._audience,
            secret=registered.secret_hash,
        )


def _registered(row: Row) -> RegisteredClient:
    return RegisteredClient(
        client_id=row["client_id"],
        metadata=cast("dict[str, Any]", json.loads(row["metadata"])),
        secret_hash=row["secret_hash"],
        management_hash=row["management_hash"],
        registered_at=row["created_at"],
    )


def _secret_for(metadata: AcceptedMetadata) -> str | None:
    return new_secret() if metadata.auth_method.startswith("client_secret_") else None
