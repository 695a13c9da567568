"""Clients, wherever they come from: configuration, registration or a metadata document."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from authcore.client_assertion import StaticKeys
from authcore.jwks import parse_key_set
from authcore.oauth2_types import GRANT_AUTHORIZATION_CODE, GRANT_CLIENT_CREDENTIALS, GRANT_JWT_BEARER
from authserver.client_metadata import public_jwks
from authserver.policy import Policy
from authserver.redirect_uris import check_redirect_uri, matches
from authserver.secret_values import secret_hash
from authserver.settings import AuthMethod, ClientSettings

UNNAMED: Final = "An application without a name"

Origin = Literal["configured", "registered", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client and what it may do."""

    client_id: str
    name: str
    """For people; chosen by the client, so never proof of anything."""
    origin: Origin
    redirect_uris: tuple[str, ...]
    grant_types: frozenset[str]
    auth_method: AuthMethod
    secret_hash: bytes | None = None
    keys: StaticKeys | None = None
    audiences: frozenset[str]
    """What its tokens may be for, whether by authorization or by exchange."""
    actors: frozenset[str] = frozenset()
    """For whom it may exchange tokens, by the names they get in `act` (RFC 8693 §2.1, `actor_token`)."""
    may_introspect: bool = False
    pushes: bool = False
    """Its authorization requests are pushed, so that one that is not cannot come from it (RFC 9126 §6)."""
    dpop_bound: bool = False
    """It gets no token without a DPoP proof (RFC 9449 §5.2)."""

    def allows_redirect(self, presented: str) -> bool:
        """Tell whether a request may redirect there."""
        return any(matches(registered, presented) for registered in self.redirect_uris)


def client_of(
    client_id: str,
    metadata: Mapping[str, Any],
    *,
    origin: Origin,
    audience: str,
    secret: bytes | None = None,
    unnamed: str = UNNAMED,
) -> Client:
    """Return the client that accepted metadata describes.

    Args:
        client_id: its identifier.
        metadata: what `AcceptedMetadata.document` gave.
        origin: how we know it.
        audience: the only audience its tokens may have.
        secret: the hash of its secret.
        unnamed: its name if it has none.
    """
    return Client(
        client_id=client_id,
        name=metadata.get("client_name", unnamed),
        origin=origin,
        redirect_uris=tuple(metadata["redirect_uris"]),
        grant_types=frozenset(metadata["grant_types"]),
        auth_method=metadata["token_endpoint_auth_method"],
        secret_hash=secret,
        keys=static_keys(metadata.get("jwks")),
        audiences=frozenset({audience}),
        pushes=metadata.get("require_pushed_authorization_requests", False),
        dpop_bound=metadata.get("dpop_bound_access_tokens", False),
    )


def static_keys(jwks: object) -> StaticKeys | None:
    """Return the keys of a JWK Set that was accepted before."""
    if jwks is None:
        return None
    return StaticKeys(list(parse_key_set(json.dumps(jwks).encode())))


def configured_clients(
    configured: Iterable[ClientSettings], *, mcp_resource: str, policy: Policy
) -> dict[str, Client]:
    """Return the clients of the configuration by their ids.

    Raises:
        OAuthError: a redirect URI or key set is not acceptable. The rules are those of registration.
    """
    clients: dict[str, Client] = {}
    for client in configured:
        for uri in client.redirect_uris:
            check_redirect_uri(uri, native=True, schemes=policy.private_use_schemes)
        authorizes = client.grant_types & {
            GRANT_AUTHORIZATION_CODE,
            GRANT_CLIENT_CREDENTIALS,
            GRANT_JWT_BEARER,
        }
        clients[client.client_id] = Client(
            client_id=client.client_id,
            name=client.client_name or client.client_id,
            origin="configured",
            redirect_uris=client.redirect_uris,
            grant_types=frozenset(client.grant_types),
            auth_method=client.token_endpoint_auth_method,
            secret_hash=None
            if client.client_secret is None
            else secret_hash(client.client_secret.get_secret_value()),
            keys=None if client.jwks is None else static_keys(public_jwks(client.jwks)),
            audiences=client.audiences or (frozenset({mcp_resource}) if authorizes else frozenset()),
            actors=client.actors,
            may_introspect=client.introspection,
            pushes=client.require_pushed_authorization_requests,
            dpop_bound=client.dpop_bound_access_tokens,
        )
    return clients
