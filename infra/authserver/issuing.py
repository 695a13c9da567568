"""What every grant ends with: a delegation under the terms of policy, and an access token for it."""

from authcore.claims import format_scope
from authcore.oauth2_types import GRANT_REFRESH_TOKEN, TokenResponse
from authserver.access_tokens import AccessTokens
from authserver.clients import Client
from authserver.delegations import Delegation, Delegations
from authserver.refresh_tokens import RefreshTokens
from authserver.secret_values import new_identifier
from authserver.state import Server
from authserver.state_thread import Transaction


def new_delegation(
    server: Server, client: Client, *, email: str | None, scope: frozenset[str], audience: str
) -> Delegation:
    """Return a delegation on the terms that policy has for these scopes now; nothing is stored yet.

    Args:
        server: whose policy.
        client: who may act.
        email: for whom; `None` if for nobody but the client itself.
        scope: what was granted, each part of it known to policy.
        audience: for what.
    """
    terms = server.policy.terms(scope, client.auth_method)
    return Delegation(
        delegation_id=new_identifier(),
        email=email,
        client_id=client.client_id,
        scope=scope,
        audience=audience,
        purpose=terms.purpose,
        client_type=terms.client_type,
        assurance_level=terms.assurance_level,
        may_act=terms.may_act,
        created_at=server.now(),
    )


def may_refresh(server: Server, client: Client) -> bool:
    """Tell whether this client gets refresh tokens: it is registered for them, and policy allows them."""
    return GRANT_REFRESH_TOKEN in client.grant_types & server.policy.agent_grant_types


async def begin(
    server: Server,
    client: Client,
    transaction: Transaction,
    delegation: Delegation,
    dpop_jkt: str | None,
    *,
    refreshable: bool = True,
) -> TokenResponse:
    """Store a new delegation and return its first tokens, bound to a key if there is one."""
    await Delegations.add(transaction, delegation)
    answer = await access_token(server, client, transaction, delegation, dpop_jkt)
    if not refreshable or delegation.email is None or not may_refresh(server, client):
        return answer
    refresh_token = await RefreshTokens.issue(
        transaction,
        delegation.delegation_id,
        expires_at=server.now() + server.policy.refresh_token_seconds,
        dpop_jkt=dpop_jkt if client.auth_method == "none" else None,
    )
    return answer.model_copy(update={"refresh_token": refresh_token})


async def access_token(
    server: Server,
    client: Client,
    transaction: Transaction,
    delegation: Delegation,
    dpop_jkt: str | None,
) -> TokenResponse:
    """Return an access token for all that the delegation allows, bound to a key if there is one."""
    terms = server.policy.terms(delegation.scope, client.auth_method)
    lifetime = server.lifetime_seconds(terms.access_token_seconds)
    token = await AccessTokens.issue(
        transaction, delegation, now=server.now(), lifetime_seconds=lifetime, dpop_jkt=dpop_jkt
    )
    return TokenResponse(
        access_token=token,
        token_type="Bearer" if dpop_jkt is None else "DPoP",
        expires_in=lifetime,
        scope=format_scope(delegation.scope),
    )
