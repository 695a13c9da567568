"""Whom the gateway believes, and whom it asks: broker and authenticator, from the settings."""

import json
from dataclasses import dataclass

import httpx

from authcore.client_assertion import ClientAssertionSigner
from authcore.clock import Clock, monotonic
from authcore.delegation_feed import DelegationFeed
from authcore.dpop import DPoPProofs
from authcore.dpop_nonces import DerivedNonces
from authcore.jwks import JwksClient
from authcore.redis_client import BoundedRedis
from authcore.replay_guard import ReplayGuard
from authcore.validator import TokenProfile, TokenValidator
from mcp_gateway.authentication import Authenticator, Known
from mcp_gateway.broker import Answer, Broker, ExchangeKey
from mcp_gateway.broker_proof import BrokerProof, ProjectedToken
from mcp_gateway.memory import TokenMemory
from mcp_gateway.metadata import metadata_url
from mcp_gateway.possession import Possession
from mcp_gateway.proxies import TrustedProxies
from mcp_gateway.refusals import Refusals
from mcp_gateway.settings import Settings
from mcp_gateway.strangers import Strangers


@dataclass(frozen=True, slots=True)
class Identity:
    """What one process uses to find out who calls."""

    jwks: JwksClient
    feed: DelegationFeed | None
    broker: Broker
    authenticator: Authenticator
    refusals: Refusals


def create_identity(
    settings: Settings, client: httpx.AsyncClient, redis: BoundedRedis | None, *, now: Clock
) -> Identity:
    """Return them, wired to each other. Nothing is connected yet.

    Args:
        settings: whom to believe and whom to ask.
        client: the network.
        redis: where replicas share which DPoP proofs were used; without it DPoP is not offered.
        now: the clock.
    """
    jwks = JwksClient(client, settings.jwks_uri, now=now)
    announced = bool(settings.redis_url.get_secret_value())
    feed = DelegationFeed(deaf_after_seconds=settings.deaf_after_seconds) if announced else None
    broker = _broker(settings, client, feed, now)
    key = settings.dpop_nonce_key.get_secret_value()
    nonces = DerivedNonces(key, now=now) if key else None
    proxies = TrustedProxies(settings.trusted_proxies)
    possession = _possession(settings, redis, proxies, nonces, now)
    strangers = Strangers(settings.refused_tokens_per_minute, proxies, now=monotonic)
    validator = _validator(settings, jwks, now)
    memory = TokenMemory[bytes, Known](
        max_entries=settings.memory_entries,
        max_age_seconds=settings.memory_age_seconds,
        feed=feed,
        now=now,
    )
    authenticator = Authenticator(broker, validator, possession, strangers, memory, feed)
    refusals = Refusals(
        metadata_url(settings), dpop=redis is not None, dpop_only=settings.dpop_required, nonces=nonces
    )
    return Identity(jwks, feed, broker, authenticator, refusals)


def _possession(
    settings: Settings,
    redis: BoundedRedis | None,
    proxies: TrustedProxies,
    nonces: DerivedNonces | None,
    now: Clock,
) -> Possession:
    proofs = (
        None
        if redis is None
        else DPoPProofs(ReplayGuard(redis, "dpop", now=now).first_use, now=now, nonces=nonces)
    )
    return Possession(
        proofs,
        proxies,
        urls=settings.audience,
        required=settings.bound_tokens_required,
    )


def _broker(settings: Settings, client: httpx.AsyncClient, feed: DelegationFeed | None, now: Clock) -> Broker:
    exchanged = TokenMemory[ExchangeKey, Answer](
        max_entries=settings.memory_entries,
        max_age_seconds=settings.memory_age_seconds,
        feed=feed,
        now=now,
    )
    return Broker(client, settings.broker_url, _proof(settings, now), now=now, exchanged=exchanged)


def _proof(settings: Settings, now: Clock) -> BrokerProof:
    """Return the one of the two that the settings have."""
    if settings.broker_token_file is not None:
        return ProjectedToken(settings.broker_token_file, now=now)
    if settings.broker_client_key_file is None:
        raise ValueError("the gateway has nothing to prove itself with at the broker")
    key = json.loads(settings.broker_client_key_file.read_text())
    return ClientAssertionSigner(settings.broker_client_id, key, now=now)


def _validator(settings: Settings, jwks: JwksClient, now: Clock) -> TokenValidator:
    profile = TokenProfile(
        issuer=settings.issuer,
        audience=settings.audience,
        algorithms=settings.signing_algorithms,
        token_types=frozenset({"at+jwt"}),
        clock_skew_seconds=settings.clock_skew_seconds,
    )
    return TokenValidator(profile, jwks, now=now)
