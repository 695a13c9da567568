"""The authorization code grant at the token endpoint (RFC 6749 §4.1.3, RFC 7636 §4.6, RFC 8707 §2.2)."""

import base64
import hashlib
import hmac
import logging
import re

from authcore.claims import covers, parse_scope
from authcore.errors import InvalidGrant, InvalidScope, InvalidTarget, OAuthError
from authcore.forms import Form
from authcore.oauth2_types import TokenResponse
from authserver.authorization_codes import AuthorizationCodes, IssuedCode
from authserver.clients import Client
from authserver.event_outbox import Cause
from authserver.issuing import begin, new_delegation
from authserver.resources import requested_audience
from authserver.state import Server

logger = logging.getLogger(__name__)

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_REFUSED = "The authorization code is not valid"
_REPLAYED = Cause(initiator="system", reason="An authorization code was used twice")


async def redeem_code(server: Server, client: Client, form: Form, dpop_jkt: str | None) -> TokenResponse:
    """Return an access token for a code.

    Raises:
        InvalidGrant: the code is unknown, expired, another client's, or the verifier does not fit. If it was
            used before, what it issued then is revoked: one of the two who had it should not have.
        InvalidTarget: `resource` names something else than what was authorized.
        InvalidScope: `scope` asks for more than what was authorized.
    """
    presented, verifier = form.require("code"), form.require("code_verifier")
    code = await server.codes.find(presented)
    if code is None:
        raise InvalidGrant(_REFUSED, reason="unknown code")
    if code.delegation_id is not None:
        raise await _replayed(server, code.delegation_id)
    _check(server, client, form, code, verifier)
    if code.dpop_jkt is not None and code.dpop_jkt != dpop_jkt:
        raise InvalidGrant(_REFUSED, reason="another DPoP key")
    return await _issue(server, client, code, dpop_jkt)


def _check(server: Server, client: Client, form: Form, code: IssuedCode, verifier: str) -> None:
    if not hmac.compare_digest(code.client_id.encode(), client.client_id.encode()):
        raise InvalidGrant(_REFUSED, reason="another client's code")
    if server.now() >= code.expires_at:
        raise InvalidGrant(_REFUSED, reason="expired")
    # OAuth 2.1 §4.1.3 has dropped the parameter; a client that sends it must send what it sent before.
    if form.get("redirect_uri") not in (None, code.redirect_uri):
        raise InvalidGrant(_REFUSED, reason="another redirect_uri")
    if not _fits(verifier, code.code_challenge):
        raise InvalidGrant(_REFUSED, reason="wrong code_verifier")
    if requested_audience(form.get_all("resource"), client.audiences, default=code.audience) != code.audience:
        raise InvalidTarget("The resource is not the one that was authorized")
    if not covers(code.scope, parse_scope(form.get("scope"))):
        raise InvalidScope("The scope is wider than what was authorized")
    if server.users.find(code.email) is None or not code.scope <= server.policy.scopes.keys():
        raise InvalidGrant(_REFUSED, reason="the user or a scope is gone")


def _fits(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    computed = base64.urlsafe_b64encode(digest).rstrip(b"=")
    return hmac.compare_digest(computed, challenge.encode("ascii"))


async def _issue(server: Server, client: Client, code: IssuedCode, dpop_jkt: str | None) -> TokenResponse:
    delegation = new_delegation(server, client, email=code.email, scope=code.scope, audience=code.audience)
    async with server.database.transaction() as transaction:
        if await AuthorizationCodes.redeem(transaction, code, delegation.delegation_id):
            return await begin(server, client, transaction, delegation, dpop_jkt)
    used = await server.codes.find_by_hash(code.code_hash)
    raise await _replayed(server, used.delegation_id if used is not None else None)


async def _replayed(server: Server, delegation_id: str | None) -> OAuthError:
    if delegation_id is not None and await server.delegations.revoke(delegation_id, server.now(), _REPLAYED):
        logger.warning("an authorization code was used twice: delegation %s revoked", delegation_id)
    return InvalidGrant(_REFUSED, reason="used before")
