"""The realm that docs/authorization-servers.md describes, as Keycloak's admin API takes it."""

import json
from typing import Any

REALM = "demo"
AGENT = "agent"
BROKER = "token-broker"
PASSWORD = "correct horse battery staple"
USERS = {"john.doe@demo.example": "USA", "jane.test@demo.example": "Europe"}


def realm(*, mcp: str, api: str, redirect_uri: str, broker_jwk: dict[str, Any]) -> dict[str, Any]:
    """Return a realm in which agents may read stocks over MCP, and the broker may exchange for the API."""
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "external",
        "defaultSignatureAlgorithm": "ES256",
        "accessTokenLifespan": 300,
        "clientScopes": [
            scope("basic", mapper("sub", "oidc-sub-mapper"), in_token_scope=False),
            scope(
                "context",
                of_user("region"),
                always("client_type", "mcp"),
                always("client_assurance_level", "1", kind="int"),
                in_token_scope=False,
            ),
            scope("stocks/read"),
        ],
        "defaultDefaultClientScopes": [],
        "clients": [agent(mcp, redirect_uri), broker(api, broker_jwk), {"clientId": api, "bearerOnly": True}],
        "components": components(),
        "users": [user(email, region) for email, region in USERS.items()],
    }


def components() -> dict[str, Any]:
    """Return an ES256 key, there from the start, and an attribute that users cannot change themselves."""
    names = [{"name": name} for name in ("username", "email", "firstName", "lastName")]
    region = {"name": "region", "permissions": {"view": ["admin"], "edit": ["admin"]}}
    profile = json.dumps({"attributes": [*names, region]})
    return {
        "org.keycloak.keys.KeyProvider": [
            {
                "name": "es256",
                "providerId": "ecdsa-generated",
                "config": {"priority": ["100"], "ecdsaEllipticCurveKey": ["P-256"]},
            }
        ],
        "org.keycloak.userprofile.UserProfileProvider": [
            {"providerId": "declarative-user-profile", "config": {"kc.user.profile.config": [profile]}}
        ],
    }


def agent(mcp: str, redirect_uri: str) -> dict[str, Any]:
    """Return the agent: its tokens are for the MCP server and for the broker, who may then exchange them."""
    return {
        "clientId": AGENT,
        "publicClient": True,
        "redirectUris": [redirect_uri],
        "defaultClientScopes": ["basic", "context"],
        "optionalClientScopes": ["stocks/read"],
        "attributes": {"access.token.header.type.rfc9068": "true", "pkce.code.challenge.method": "S256"},
        "protocolMappers": [
            audience("mcp", **{"included.custom.audience": mcp}),
            audience("broker", **{"included.client.audience": BROKER}),
        ],
    }


def broker(api: str, jwk: dict[str, Any]) -> dict[str, Any]:
    """Return the broker: the API's audience comes with it and not with a scope, so that no agent gets it."""
    return {
        "clientId": BROKER,
        "clientAuthenticatorType": "client-jwt",
        "standardFlowEnabled": False,
        "defaultClientScopes": ["basic", "context"],
        "optionalClientScopes": ["stocks/read"],
        "attributes": {
            "use.jwks.string": "true",
            "jwks.string": json.dumps({"keys": [jwk]}),
            "token.endpoint.auth.signing.alg": "ES256",
            "standard.token.exchange.enabled": "true",
            "access.token.header.type.rfc9068": "true",
        },
        "protocolMappers": [audience("api", **{"included.client.audience": api})],
    }


def user(email: str, region: str) -> dict[str, Any]:
    """Return a user who needs nothing but a password."""
    return {
        "username": email,
        "email": email,
        "emailVerified": True,
        "firstName": "Test",
        "lastName": "User",
        "enabled": True,
        "attributes": {"region": [region]},
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
    }


def scope(name: str, *mappers: dict[str, Any], in_token_scope: bool = True) -> dict[str, Any]:
    """Return a client scope."""
    shown = {"include.in.token.scope": str(in_token_scope).lower()}
    return {
        "name": name,
        "protocol": "openid-connect",
        "attributes": shown,
        "protocolMappers": list(mappers),
    }


def audience(name: str, **config: str) -> dict[str, Any]:
    """Return a mapper that adds to `aud`."""
    return mapper(name, "oidc-audience-mapper", **config)


def mapper(name: str, kind: str, **config: str) -> dict[str, Any]:
    """Return a mapper into access tokens and their introspection."""
    everywhere = {"access.token.claim": "true", "introspection.token.claim": "true"}
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": everywhere | config,
    }


def of_user(attribute: str) -> dict[str, Any]:
    """Return a mapper of a user's attribute to the claim of the same name."""
    config = {"claim.name": attribute, "jsonType.label": "String", "user.attribute": attribute}
    return mapper(attribute, "oidc-usermodel-attribute-mapper", **config)


def always(claim: str, value: str, kind: str = "String") -> dict[str, Any]:
    """Return a mapper that sets a claim to one value."""
    config = {"claim.name": claim, "jsonType.label": kind, "claim.value": value}
    return mapper(claim, "oidc-hardcoded-claim-mapper", **config)
