"""Which path leads where."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from authserver import admin_page, agents_page, consent, endpoints, inbox_page, login
from authserver.authorization import authorize
from authserver.client_management import manage
from authserver.dpop import NONCE_HEADER
from authserver.endpoints import Endpoints
from authserver.introspection import introspect
from authserver.login import Login
from authserver.metadata import jwks, metadata
from authserver.pushed_authorization import push
from authserver.registration import register
from authserver.revocation import revoke
from authserver.state import server_of
from authserver.tokens import token

Endpoint = Callable[[Request], Awaitable[Response]]

_REQUEST_HEADERS: Final = ("authorization", "content-type", "dpop", "mcp-protocol-version")
_STATIC: Final = {"cache-control": "public, max-age=300", "x-content-type-options": "nosniff"}


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
        *_login(where, endpoints.LOGIN, endpoints.LOGIN_CODE, login.FOR_A_CLIENT),
        *_login(where, endpoints.AGENTS_LOGIN, endpoints.AGENTS_LOGIN_CODE, agents_page.LOGIN),
        Route(where.path(endpoints.CONSENT), consent.consent_page, methods=["GET"]),
        Route(where.path(endpoints.CONSENT), consent.decide, methods=["POST"]),
        Route(where.path(endpoints.AGENTS), agents_page.agents, methods=["GET"]),
        Route(where.path(endpoints.AGENTS_WITHDRAW), agents_page.withdraw, methods=["POST"]),
        Route(where.path(endpoints.AGENTS_SIGN_OUT), agents_page.sign_out, methods=["POST"]),
        Route(where.path(endpoints.ADMIN), admin_page.overview, methods=["GET"]),
        Route(where.path(endpoints.ADMIN_LOGIN), admin_page.login_page, methods=["GET"]),
        Route(where.path(endpoints.ADMIN_LOGIN), admin_page.log_in, methods=["POST"]),
        Route(where.path(endpoints.ADMIN_LOGOUT), admin_page.log_out, methods=["POST"]),
        Route(where.path(endpoints.ADMIN_REVOKE), admin_page.revoke, methods=["POST"]),
        Route(where.path(endpoints.STYLE), _style, methods=["GET"]),
        Route(where.path(endpoints.INBOX_SCRIPT), _inbox_script, methods=["GET"]),
        Route(where.path(endpoints.COUNTERS), _counters, methods=["GET"]),
        Route(endpoints.INBOX, inbox_page.inbox_page, methods=["GET"]),
        Route(f"{endpoints.INBOX}.json", inbox_page.inbox_json, methods=["GET"]),
    ]


def _login(where: Endpoints, email: str, code: str, pages: Login) -> list[BaseRoute]:
    return [
        Route(where.path(email), pages.email_page, methods=["GET"]),
        Route(where.path(email), pages.send_code, methods=["POST"]),
        Route(where.path(code), pages.code_page, methods=["GET"]),
        Route(where.path(code), pages.check_code, methods=["POST"]),
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
        expose_headers=["www-authenticate", NONCE_HEADER],
    )
    return Route(path, endpoint, methods=[*methods, "OPTIONS"], middleware=[allow])


async def _style(request: Request) -> Response:
    return Response(server_of(request).pages.stylesheet, media_type="text/css", headers=_STATIC)


async def _inbox_script(request: Request) -> Response:
    return Response(server_of(request).pages.inbox_script, media_type="text/javascript", headers=_STATIC)


async def _counters(request: Request) -> Response:
    return JSONResponse(server_of(request).counters.document(), headers={"cache-control": "no-store"})
