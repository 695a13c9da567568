"""The Kubernetes cluster whose service accounts are callers, composed from the settings."""

import httpx

from authcore.client_assertion import FirstUse, StaticKeys
from authcore.clock import Clock
from authcore.http_client import pooled_client
from authcore.jwks import JwksClient, parse_key_set
from authcore.validator import KeySource
from token_broker.service_accounts import BearerFromFile, ServiceAccounts, clients_of
from token_broker.settings import Settings


def cluster_client(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """Return a client of the cluster's API: with the cluster's authority, and our own token."""
    client = pooled_client(
        timeout_seconds=settings.http_timeout_seconds,
        transport=transport,
        max_connections=2,
        ca_file=settings.service_account_ca_file,
    )
    if settings.service_account_token_file is not None:
        client.auth = BearerFromFile(settings.service_account_token_file)
    return client


def service_accounts(
    settings: Settings, client: httpx.AsyncClient, first_use: FirstUse, *, now: Clock
) -> ServiceAccounts | None:
    """Return who can tell workloads of the cluster from others, if any may call."""
    clients = clients_of({name: caller.service_accounts for name, caller in settings.callers.items()})
    if not clients:
        return None
    return ServiceAccounts(
        settings.service_account_issuer,
        _keys(settings, client, now),
        audience=settings.url,
        clients=clients,
        first_use=first_use,
        now=now,
    )


def _keys(settings: Settings, client: httpx.AsyncClient, now: Clock) -> KeySource:
    file = settings.service_account_jwks_file
    if file is None:
        return JwksClient(client, settings.service_account_jwks_uri, now=now)
    return StaticKeys(list(parse_key_set(file.read_bytes())))
