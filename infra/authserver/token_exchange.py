"""Token exchange: less than the subject token, for one API, in the open about who acts (RFC 8693)."""

from dataclasses import replace

from authcore.claims import MAX_ACTOR_DEPTH, covers, format_scope, parse_scope
from authcore.errors import InvalidGrant, InvalidRequest, InvalidScope, InvalidTarget
from authcore.forms import Form
from authcore.oauth2_types import TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT, TokenResponse
from authcore.validator import is_compact_jws
from authserver.active_tokens import ACCESS_TOKEN_JWT, ActiveToken
from authserver.clients import Client
from authserver.resources import requested_audience
from authserver.secret_values import new_identifier
from authserver.state import Server

_TYPES = (TOKEN_TYPE_ACCESS_TOKEN, TOKEN_TYPE_JWT)


async def exchange(server: Server, client: Client, form: Form, dpop_jkt: str | None) -> TokenResponse:
    """Return a JWT for one audience under the delegation of the subject token.

    It has no more scope and no longer life than the subject token; `act` names the actor of the actor token,
    if there is one, below it this client, and below that whoever acted before. It is bound to the key this
    client has shown with a DPoP proof, else to none: the subject token's key is the agent's, and the API that
    gets the new token never meets the agent.

    Raises:
        InvalidRequest: RFC 8693 §2.2.2, something that is not supported, or an actor that is not allowed.
        InvalidGrant: the subject token is not ours, or expired, or revoked.
        InvalidTarget: the audience is not one this client may ask for.
        InvalidScope: the scope is not within the subject token's.
    """
    subject_token, issued_type = _parameters(form)
    audience = _audience(client, form)
    subject = await server.active_tokens.find(subject_token)
    if subject is None:
        raise InvalidGrant("The subject token is not active")
    may_act = subject.delegation.may_act
    if may_act is not None and client.client_id not in may_act:
        # RFC 8693 §2.2.2: so is a subject token named that policy does not accept.
        raise InvalidRequest("The client may not act under this delegation")
    scope = parse_scope(form.get("scope")) or subject.scope
    if not covers(subject.scope, scope):
        raise InvalidScope("The scope is wider than the subject token's")
    if not scope or not scope <= server.policy.scopes.keys():
        raise InvalidScope("The scope is unknown")
    actors = (*await _named_actor(server, client, form), client.client_id, *subject.actors)
    if len(actors) > MAX_ACTOR_DEPTH:
        raise InvalidRequest("Too many actors")
    derived = replace(_derive(server, client, subject, scope, audience), actors=actors, dpop_jkt=dpop_jkt)
    return TokenResponse(
        access_token=server.keys.sign(derived.claims(server.where.issuer), token_type=ACCESS_TOKEN_JWT),
        token_type=derived.token_type,
        expires_in=derived.expires_at - derived.issued_at,
        scope=format_scope(scope),
        issued_token_type=issued_type,
    )


def _parameters(form: Form) -> tuple[str, str]:
    token, token_type = form.require("subject_token"), form.require("subject_token_type")
    if token_type not in _TYPES or (token_type == TOKEN_TYPE_JWT and not is_compact_jws(token)):
        raise InvalidRequest("The subject_token_type is not supported or not that of the token")
    issued_type = form.get("requested_token_type") or TOKEN_TYPE_ACCESS_TOKEN
    if issued_type not in _TYPES:
        raise InvalidRequest("The requested_token_type is not supported")
    return token, issued_type


async def _named_actor(server: Server, client: Client, form: Form) -> tuple[str, ...]:
    """Return who uses the token, if the client says that it is another (RFC 8693 §2.1)."""
    token, token_type = form.get("actor_token"), form.get("actor_token_type")
    if token is None and token_type is None:
        return ()
    if token is None or token_type != TOKEN_TYPE_JWT:
        raise InvalidRequest("An actor_token must be a JWT, with the actor_token_type that says so")
    return (await server.client_auth.actor(client, token),)


def _audience(client: Client, form: Form) -> str:
    # RFC 8693 §2.1: a logical name or a location, whichever the client knows; here they are the same.
    requested = form.get_all("audience") + form.get_all("resource")
    if not requested:
        raise InvalidTarget("An audience is required")
    return requested_audience(requested, client.audiences, default="")


def _derive(
    server: Server, client: Client, subject: ActiveToken, scope: frozenset[str], audience: str
) -> ActiveToken:
    now = server.now()
    seconds = server.lifetime_seconds(server.policy.terms(scope, client.auth_method).access_token_seconds)
    return ActiveToken(
        token_id=new_identifier(),
        delegation=subject.delegation,
        user=subject.user,
        scope=scope,
        audience=audience,
        issued_at=now,
        expires_at=min(now + seconds, subject.expires_at),
    )
