"""The jwt-bearer grant at the token endpoint, for identity assertions (RFC 7523 §2.1, ID-JAG)."""

from authcore.claims import covers, parse_scope
from authcore.errors import InvalidGrant, InvalidScope
from authcore.forms import Form
from authcore.oauth2_types import TokenResponse
from authserver.clients import Client
from authserver.issuing import begin, new_delegation
from authserver.resources import requested_audience
from authserver.state import Server


async def redeem_assertion(server: Server, client: Client, form: Form, dpop_jkt: str | None) -> TokenResponse:
    """Return an access token for the user of an identity assertion, without login and consent here.

    Raises:
        InvalidGrant: the assertion is not acceptable, or no identity provider is trusted.
        InvalidScope: the scope is unknown or wider than the assertion's.
        InvalidTarget: `resource` is not the client's, or not the assertion's.
    """
    if server.identity_assertions is None:
        raise InvalidGrant("No identity provider is trusted")
    granted = await server.identity_assertions.verify(form.require("assertion"), client)
    audiences = client.audiences
    if granted.resources:
        audiences = frozenset(
            {requested_audience(granted.resources, audiences, default=server.settings.mcp_resource)}
        )
    default = next(iter(audiences)) if granted.resources else server.settings.mcp_resource
    audience = requested_audience(form.get_all("resource"), audiences, default=default)
    scope = parse_scope(form.get("scope")) or granted.scope or server.policy.default_scope
    if not scope <= server.policy.scopes.keys() or (granted.scope and not covers(granted.scope, scope)):
        raise InvalidScope("The scope is unknown, or wider than the assertion's")
    delegation = new_delegation(server, client, email=granted.user.email, scope=scope, audience=audience)
    async with server.database.transaction() as transaction:
        # Another assertion is what refreshes this grant: the provider keeps its say.
        return await begin(server, client, transaction, delegation, dpop_jkt, refreshable=False)
