"""Finding a client by its id, whatever kind of id it is."""

from collections.abc import Mapping
from typing import Final

from authserver.client_documents import ClientDocuments, is_document_url
from authserver.clients import Client
from authserver.registered_clients import RegisteredClients

MAX_CLIENT_ID_LENGTH: Final = 1000


class ClientDirectory:
    """All clients."""

    def __init__(
        self, configured: Mapping[str, Client], registered: RegisteredClients, documents: ClientDocuments
    ) -> None:
        self._configured = configured
        self._registered = registered
        self._documents = documents

    async def find(self, client_id: str) -> Client | None:
        """Return the client with this id.

        Raises:
            InvalidClient: the id is a URL without an acceptable document.
            TemporarilyUnavailable: the document could not be fetched.
        """
        client = self._configured.get(client_id)
        if client is not None:
            return client
        if len(client_id) > MAX_CLIENT_ID_LENGTH:
            return None
        if is_document_url(client_id):
            return await self._documents.find(client_id)
        return await self._registered.find(client_id)
