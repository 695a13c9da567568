"""A client that acts for nobody but itself (RFC 6749 §4.4).

Such a token has the client as its subject (RFC 9068 §2.2) and no region: a region is a user's, and what is
decided by region fails closed without one. Policy says which scopes make sense without a user at all.
"""

from authcore.claims import parse_scope
from authcore.errors import InvalidScope
from authcore.forms import Form
from authcore.oauth2_types import TokenResponse
from authserver.clients import Client
from authserver.issuing import begin, new_delegation
from authserver.resources import requested_audience
from authserver.state import Server


async def client_credentials(
    server: Server, client: Client, form: Form, dpop_jkt: str | None
) -> TokenResponse:
    """Return an access token for the client itself.

    Raises:
        InvalidScope: unknown, or only for those who act for a user.
        InvalidTarget: `resource` names something that is not the client's.
    """
    scope = parse_scope(form.get("scope")) or server.policy.default_scope
    known = server.policy.scopes
    if not all(name in known and known[name].without_user for name in scope):
        raise InvalidScope("The scope is unknown, or needs a user")
    audience = requested_audience(
        form.get_all("resource"), client.audiences, default=server.settings.mcp_resource
    )
    delegation = new_delegation(server, client, email=None, scope=scope, audience=audience)
    async with server.database.transaction() as transaction:
        return await begin(server, client, transaction, delegation, dpop_jkt)
