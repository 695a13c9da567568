"""The parts of the approvals, from the settings."""

from dataclasses import dataclass

import httpx
from starlette.routing import Route

from authcore.clock import Clock
from authcore.key_ring import parse_ring
from authcore.redis_client import BoundedRedis
from mcp_gateway.approvals.gate import Gate
from mcp_gateway.approvals.pages import PATH, Pages
from mcp_gateway.approvals.sealing import Sealer
from mcp_gateway.approvals.sign_in import OAuthClient, SignIn
from mcp_gateway.approvals.store import Approvals
from mcp_gateway.authentication import Authenticator
from mcp_gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class ApprovalParts:
    """What stands before the tools, and what is served beside them."""

    gate: Gate
    routes: list[Route]


def create_approvals(
    settings: Settings,
    client: httpx.AsyncClient,
    authenticator: Authenticator,
    redis: BoundedRedis | None,
    *,
    now: Clock,
) -> ApprovalParts | None:
    """Return the parts, or `None` if nobody can be asked here: then what takes approval does not exist."""
    if not settings.approval_client_id or redis is None:
        return None
    sealer = Sealer(parse_ring(settings.state_key.get_secret_value()), now=now)
    approvals = Approvals(redis, sealer, seconds=settings.approval_seconds, now=now)
    gate = Gate(
        approvals,
        sealer,
        pages=f"{settings.origin}{PATH}/",
        service=settings.resource_name,
        seconds=settings.approval_seconds,
        wait_seconds=settings.approval_wait_seconds,
        now=now,
    )
    oauth = OAuthClient(
        client_id=settings.approval_client_id,
        issuer=settings.issuer,
        authorization_endpoint=settings.authorization_endpoint,
        token_endpoint=settings.token_endpoint,
        resource=settings.resource,
        scope=settings.approval_scope,
        redirect_uri=f"{settings.origin}{PATH}/callback",
        issuer_in_response=settings.issuer_in_response,
    )
    pages = Pages(
        approvals,
        SignIn(oauth, client, authenticator, sealer, path=PATH, now=now),
        service=settings.resource_name,
        origin=settings.origin,
        hosts=settings.hosts,
        client_id=settings.approval_client_id,
        now=now,
    )
    return ApprovalParts(gate, pages.routes())
