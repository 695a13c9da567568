"""How the endpoints are described (OpenAPI 3.1), where their code does not say it by itself."""

from typing import Any, Final

from fastapi import Security
from fastapi.security import HTTPBearer

from authcore.oauth2_types import (
    CLIENT_ASSERTION_JWT_BEARER,
    GRANT_TOKEN_EXCHANGE,
    MEDIA_TYPE_JWT,
    TOKEN_TYPE_ACCESS_TOKEN,
    TOKEN_TYPE_JWT,
    ErrorResponse,
    TokenResponse,
    WireModel,
)
from authcore.security_events import MEDIA_TYPE_SECEVENT

TITLE: Final = "Delegant token broker"

DESCRIPTION: Final = f"""\
Turns an agent's access token into the JWT that stands for it, and into a JWT for one API; ends delegations.

**Callers** are registered clients. They authenticate each request with a client assertion in its form
(RFC 7523): `client_assertion_type={CLIENT_ASSERTION_JWT_BEARER}` and `client_assertion`, a JWT
that is good once and whose `aud` is this broker. **Operators** send such an assertion as the
bearer token. What a caller or an operator may do is in the broker's configuration.

Errors are JSON (RFC 6749 §5.2). 503 is never a verdict on a token: try again after `Retry-After`.
"""

Described = dict[str, Any]
"""Arguments of a route."""

OPERATOR: Final[Any] = Security(
    HTTPBearer(
        scheme_name="operator",
        bearerFormat="JWT",
        description="a client assertion (RFC 7523 §3) of a caller with the right to this, good once",
        auto_error=False,
    )
)
"""Describes how operators authenticate; `client_auth` is what does it."""

NO_CONTENT: Final[dict[int | str, Described]] = {204: {"description": "Done"}}


class EventRefusal(WireModel):
    """RFC 8935 §2.4."""

    err: str
    description: str


ERRORS: Final[dict[int | str, Described]] = {
    "default": {"model": ErrorResponse, "description": "Refused, or not possible just now"}
}


def _form(required: dict[str, str], optional: dict[str, str] | None = None) -> Described:
    """Return a description of a form that a caller authenticates."""
    required = required | {
        "client_assertion_type": CLIENT_ASSERTION_JWT_BEARER,
        "client_assertion": "who calls: a signed JWT (RFC 7523 §3)",
    }
    members = required | (optional or {}) | {"client_id": "may be given; must then be that of the assertion"}
    schema = {
        "type": "object",
        "required": list(required),
        "properties": {name: {"type": "string", "description": said} for name, said in members.items()},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": schema}},
        }
    }


INTROSPECT: Final[Described] = {
    "tags": ["callers"],
    "summary": "Introspect a token",
    "openapi_extra": _form({"token": "the token in question"}, {"token_type_hint": "ignored"}),
    "responses": ERRORS
    | {
        200: {
            "description": "What the token stands for: a JWT if `Accept` asks for one",
            "content": {
                "application/json": {"schema": {"type": "object", "required": ["active"]}},
                MEDIA_TYPE_JWT: {"schema": {"type": "string"}},
            },
        },
        204: {"description": f"Not active, where `Accept` asks for `{MEDIA_TYPE_JWT}`"},
    },
}

TOKEN: Final[Described] = {
    "tags": ["callers"],
    "summary": "Exchange a token",
    "openapi_extra": _form(
        {
            "grant_type": GRANT_TOKEN_EXCHANGE,
            "subject_token": "the agent's access token",
            "subject_token_type": TOKEN_TYPE_ACCESS_TOKEN,
            "audience": "for whom; one that the caller is configured for",
        },
        {
            "scope": "no more than the caller may have and the subject token has; all of that if left out",
            "requested_token_type": f"{TOKEN_TYPE_ACCESS_TOKEN} or {TOKEN_TYPE_JWT}",
        },
    ),
    "responses": ERRORS | {200: {"model": TokenResponse}},
}

REVOKE: Final[Described] = {
    "tags": ["callers"],
    "summary": "End the delegation of a token",
    "openapi_extra": _form({"token": "any token of the delegation"}, {"token_type_hint": "ignored"}),
    "responses": ERRORS | {200: {"description": "Ended, or unknown here"}},
}

EVENTS: Final[Described] = {
    "tags": ["authorization server"],
    "summary": "Take a security event",
    "status_code": 202,
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                MEDIA_TYPE_SECEVENT: {"schema": {"type": "string", "description": "a signed JWT (RFC 8417)"}}
            },
        }
    },
    "responses": ERRORS | {202: {"description": "Acted upon"}, 400: {"model": EventRefusal}},
}
