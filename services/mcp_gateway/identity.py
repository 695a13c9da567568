"""Whom the gateway believes, and whom it asks: broker and authenticator, from the settings."""

import json
from dataclasses import dataclass

import httpx

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import Clock
from authcore.delegation_feed import DelegationFeed
from authcore.jwks import JwksClient
from authcore.validator import TokenProfile, TokenValidator
from mcp_gateway.authentication import Authenticator, Known
from mcp_gateway.broker import Answer, Broker, ExchangeKey
from mcp_gateway.memory import TokenMemory
from mcp_gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """What one process uses to find out who calls."""

    jwks: JwksClient
    feed: DelegationFeed | None
    broker: Broker
    authenticator: Authenticator


def create_identity(settings: Settings, client: httpx.AsyncClient, *, now: Clock) -> Identity:
    """Return them, wired to each other. Nothing is connected yet."""
    jwks = JwksClient(client, settings.jwks_uri, now=now)
    announced = bool(settings.redis_url.get_secret_value())
    feed = DelegationFeed(deaf_after_seconds=settings.deaf_after_seconds) if announced else None
    broker = _broker(settings, client, feed, now)
    return Identity(jwks, feed, broker, _authenticator(settings, broker, jwks, feed, now))


def _broker(settings: Settings, client: httpx.AsyncClient, feed: DelegationFeed | None, now: Clock) -> Broker:
    key = json.loads(settings.broker_client_key_file.read_text())
    signer = ClientAssertionSigner(settings.broker_client_id, key, now=now)
    exchanged = TokenMemory[ExchangeKey, Answer](
        max_entries=settings.memory_entries,
        max_age_seconds=settings.memory_age_seconds,
        feed=feed,
        now=now,
    )
    return Broker(client, settings.broker_url, signer, now=now, exchanged=exchanged)


def _authenticator(
    settings: Settings, broker: Broker, jwks: JwksClient, feed: DelegationFeed | None, now: Clock
) -> Authenticator:
    profile = TokenProfile(
        issuer=settings.issuer,
        audience=settings.audience,
        algorithms=settings.signing_algorithms,
        token_types=frozenset({"at+jwt"}),
        clock_skew_seconds=settings.clock_skew_seconds,
    )
    memory = TokenMemory[bytes, Known](
        max_entries=settings.memory_entries,
        max_age_seconds=settings.memory_age_seconds,
        feed=feed,
        now=now,
    )
    return Authenticator(broker, TokenValidator(profile, jwks, now=now), memory, feed)
