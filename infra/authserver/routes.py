"""Which path leads where."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from authserver import consent, endpoints, inbox_page, login
from authserver.authorization import authorize
from authserver.client_management import manage
from authserver.endpoints import Endpoints
from authserver.introspection import introspect
from authserver.metadata import jwks, metadata
from authserver.pushed_authorization import push
from authserver.registration import register
from authserver.revocation import revoke
from authserver.state import server_of
from authserver.tokens import token

Endpoint = Callable[[Request], Awaitable[Response]]

_REQUEST_HEADERS: Final = ("authorization", "content-type", "dpop", "mcp-protocol-version")


def routes(where: Endpoints) -> list[BaseRoute]:
    """Return all routes, those that are called most in front."""
    return [
        _for_browsers(where.path(endpoints.TOKEN), token, "POST"),
        Route(where.path(endpoints.INTROSPECT), introspect, methods=["POST"]),
        _for_browsers(where.path(endpoints.REVOKE), revoke, "POST"),
        _for_browsers(where.path(endpoints.JWKS), jwks, "GET"),
        *(_for_browsers(path, metadata, "GET") for path in where.well_known()),
        _for_browsers(where.path(endpoints.REGISTER), register, "POST"),
        _for_browsers(where.path(f"{endpoints.REGISTER}/{{client_id}}"), manage, "GET", "PUT", "DELETE"),
        _for_browsers(where.path(endpoints.PUSH), push, "POST"),
        Route(where.path(endpoints.AUTHORIZE), authorize, methods=["GET"]),
        Route(where.path(endpoints.LOGIN), login.email_page, methods=["GET"]),
        Route(where.path(endpoints.LOGIN), login.send_code, methods=["POST"]),
        Route(where.path(endpoints.LOGIN_CODE), login.code_page, methods=["GET"]),
        Route(where.path(endpoints.LOGIN_CODE), login.check_code, methods=["POST"]),
        Route(where.path(endpoints.CONSENT), consent.consent_page, methods=["GET"]),
        Route(where.path(endpoints.CONSENT), consent.decide, methods=["POST"]),
        Route(where.path(endpoints.STYLE), _style, methods=["GET"]),
        Route(where.path(endpoints.COUNTERS), _counters, methods=["GET"]),
        Route(endpoints.INBOX, inbox_page.inbox_page, methods=["GET"]),
        Route(f"{endpoints.INBOX}.json", inbox_page.inbox_json, methods=["GET"]),
    ]


def _for_browsers(path: str, endpoint: Endpoint, *methods: str) -> Route:
    """Return a route that scripts of every origin may call: MCP clients run in browsers too.

    Cookies are never allowed along, and none of these endpoints reads one.
    """
    allow = Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=methods,
        allow_headers=_REQUEST_HEADERS,
        expose_headers=["www-authenticate"],
    )
    return Route(path, endpoint, methods=[*methods, "OPTIONS"], middleware=[allow])


async def _style(request: Request) -> Response:
    sheet = server_of(request).pages.stylesheet
    headers = {"cache-control": "public, max-age=300", "x-content-type-options": "nosniff"}
    return Response(sheet, media_type="text/css", headers=headers)


async def _counters(request: Request) -> Response:
    return JSONResponse(server_of(request).counters.document(), headers={"cache-control": "no-store"})
