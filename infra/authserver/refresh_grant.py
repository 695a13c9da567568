"""The refresh token grant at the token endpoint (RFC 6749 §6, OAuth 2.1 §4.3)."""

import logging
from dataclasses import replace
from typing import Final

from authcore.claims import covers, parse_scope
from authcore.errors import InvalidGrant, InvalidScope, InvalidTarget
from authcore.forms import Form
from authcore.oauth2_types import TokenResponse
from authserver.clients import Client
from authserver.event_outbox import Cause
from authserver.issuing import access_token, may_refresh
from authserver.refresh_tokens import RefreshTokens, StoredRefreshToken
from authserver.resources import requested_audience
from authserver.state import Server

logger = logging.getLogger(__name__)

_REFUSED: Final = "The refresh token is not valid"
_REUSED: Final = Cause(initiator="system", reason="A refresh token was used twice")


async def refresh(server: Server, client: Client, form: Form, dpop_jkt: str | None) -> TokenResponse:
    """Return another access token, and another refresh token in the presented one's place.

    Raises:
        InvalidGrant: the token is unknown, expired, revoked or another client's, or policy has changed. If it
            was used before, its delegation is revoked: one of the two who had it should not have.
        InvalidScope: `scope` asks for more than was granted.
        InvalidTarget: `resource` names something else than what was granted.
    """
    token = await server.refresh_tokens.find(form.require("refresh_token"), server.now())
    if token is None or token.delegation.client_id != client.client_id:
        raise InvalidGrant(_REFUSED, reason="unknown, or another client's")
    if token.used:
        raise await _reused(server, token)
    _check(server, client, token, dpop_jkt)
    granted = token.delegation
    scope = parse_scope(form.get("scope")) or granted.scope
    if not covers(granted.scope, scope) or not scope <= server.policy.scopes.keys():
        raise InvalidScope("The scope is wider than what was granted")
    resources = form.get_all("resource")
    if requested_audience(resources, client.audiences, default=granted.audience) != granted.audience:
        raise InvalidTarget("The resource is not the one that was granted")
    async with server.database.transaction() as transaction:
        if await RefreshTokens.use(transaction, token):
            answer = await access_token(server, client, transaction, replace(granted, scope=scope), dpop_jkt)
            following = await RefreshTokens.issue(
                transaction,
                granted.delegation_id,
                # The first token's end: using it does not make a delegation eternal.
                expires_at=token.expires_at,
                dpop_jkt=token.dpop_jkt,
            )
            return answer.model_copy(update={"refresh_token": following})
    raise await _reused(server, token)


def _check(server: Server, client: Client, token: StoredRefreshToken, dpop_jkt: str | None) -> None:
    granted = token.delegation
    if not may_refresh(server, client):
        raise InvalidGrant(_REFUSED, reason="policy no longer allows it")
    if granted.email is None or server.users.find(granted.email) is None:
        raise InvalidGrant(_REFUSED, reason="the user is gone")
    if not granted.scope <= server.policy.scopes.keys():
        raise InvalidGrant(_REFUSED, reason="a scope is gone")
    if token.dpop_jkt is not None and token.dpop_jkt != dpop_jkt:
        raise InvalidGrant(_REFUSED, reason="another DPoP key")


async def _reused(server: Server, token: StoredRefreshToken) -> InvalidGrant:
    delegation_id = token.delegation.delegation_id
    if await server.delegations.revoke(delegation_id, server.now(), _REUSED):
        logger.warning("a refresh token was used twice: delegation %s revoked", delegation_id)
    return InvalidGrant(_REFUSED, reason="used before")
