"""The door: every MCP request is authenticated and authorized here, before the transport sees it.

RFC 6750 §3 (challenges), RFC 9728 §5 (where to get a token), MCP 2026-07-28 authorization.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authcore.bearer import PresentedToken, Scheme, presented_token
from authcore.claims import covers
from authcore.errors import InsufficientScope, OAuthError
from mcp_gateway.caller import SCOPE_KEY, Caller
from mcp_gateway.hosts import normal_host
from mcp_gateway.limiter import Limiter, TooManyRequests
from mcp_gateway.limits import Limits
from mcp_gateway.messages import MalformedMessage, check_headers, parse_message
from mcp_gateway.policy import required_scope
from mcp_gateway.refusals import Refusals, rate_limit_headers, too_late, too_many
from mcp_gateway.serving import DeadlineExceeded, Serving, read_body

logger = logging.getLogger(__name__)

Authenticate = Callable[[Scope, PresentedToken], Awaitable[Caller]]
Recheck = Callable[[Caller], None]
"""Raises `InvalidToken` if the caller's delegation has ended since it was authenticated."""


Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Admitted:
    body: bytes
    message: Mapping[str, Any]
    headers: Headers
    """What the answer says of limits."""


class Guard:
    """ASGI application in front of the MCP transport.

    In this order: is it us who are called, and from a page that may; who calls; not too often; one message;
    may he do that.
    """

    def __init__(
        self,
        transport: ASGIApp,
        authenticate: Authenticate,
        recheck: Recheck,
        *,
        refusals: Refusals,
        hosts: frozenset[str],
        origins: frozenset[str],
        limits: Limits,
        limiter: Limiter,
        deadline_seconds: float,
    ) -> None:
        self._transport = transport
        self._authenticate = authenticate
        self._recheck = recheck
        self._refusals = refusals
        self._hosts = hosts
        self._origins = origins
        self._limits = limits
        self._limiter = limiter
        self._deadline_seconds = deadline_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request, or hand the request on with its caller."""
        misdirected = self._misdirected(scope)
        if misdirected is not None:
            await misdirected(scope, receive, send)
            return
        presented: PresentedToken | None = None
        try:
            presented = presented_token(scope["headers"])
            caller = await self._authenticate(scope, presented)
            if scope["method"] != "POST":
                await PlainTextResponse("Method not allowed\n", 405, {"allow": "POST"})(scope, receive, send)
                return
            admitted = await self._admit(caller, scope, receive)
        except OAuthError as error:
            await self._refusal(error, presented and presented.scheme)(scope, receive, send)
        except TooManyRequests as error:
            logger.info("refused: %s is used up", error)
            await too_many(error)(scope, receive, send)
        except ClientDisconnect:
            # What has arrived is not what was meant: nothing of it is carried out (RFC 9112 §8).
            return
        except MalformedMessage as error:
            await JSONResponse(error.document(), error.status)(scope, receive, send)
        else:
            await self._serve(caller, admitted, scope, receive, send)

    async def _admit(self, caller: Caller, scope: Scope, receive: Receive) -> _Admitted:
        """Return the message, if the caller may send it now.

        Raises:
            TooManyRequests: not now.
            MalformedMessage: it is not one, or could be read in two ways.
            InsufficientScope: the token does not reach.
            ClientDisconnect: it broke off.
            TemporarilyUnavailable: nobody could say.
        """
        general = self._limits.general(caller)
        shown = [await self._limiter.admit(general)]
        body = await read_body(receive)
        check_headers(scope)
        message = parse_message(body)
        special = self._limits.of_tool(caller, message)
        if special:
            shown.append(await self._limiter.admit(special))
        required = required_scope(message, caller.token)
        if not covers(caller.token.scope, required):
            raise InsufficientScope("The operation needs more than the token grants", scope=required)
        return _Admitted(body, message, rate_limit_headers([*general, *special], shown))

    async def _serve(
        self, caller: Caller, admitted: _Admitted, scope: Scope, receive: Receive, send: Send
    ) -> None:
        scope[SCOPE_KEY] = caller
        last_word = self._last_word(caller, admitted.headers, scope, receive, send)
        serving = Serving(admitted.body, receive, last_word)
        try:
            await serving.run(self._transport, scope, deadline_seconds=self._deadline_seconds)
        except DeadlineExceeded:
            logger.warning("a request was stopped after %s s", self._deadline_seconds)
            await too_late(admitted.message)(scope, receive, send)

    def _misdirected(self, scope: Scope) -> Response | None:
        """Refuse other hosts and foreign web pages: DNS rebinding (MCP, streamable HTTP, security)."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or normal_host(hosts[0]) not in self._hosts:
            return PlainTextResponse("Misdirected request\n", 421)
        origins = _values(scope, b"origin")
        if any(origin not in self._origins for origin in origins):
            return PlainTextResponse("This origin may not call\n", 403)
        return None

    def _refusal(self, error: OAuthError, scheme: Scheme | None) -> Response:
        logger.info("refused: %s", error)
        return self._refusals.response(error, scheme)

    def _last_word(
        self, caller: Caller, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> Send:
        """Answer in HTTP when the token turned out bad while the tool ran: there clients act on it.

        The transport would bury it in a JSON-RPC result under status 200. The result of a call whose
        delegation was revoked meanwhile does not leave; of a stream that has begun, nothing more does.
        """
        refused = False

        async def send_unless_refused(message: Message) -> None:
            nonlocal refused
            if refused:
                return
            ended = self._ended(caller)
            if message["type"] == "http.response.start":
                refusal = ended or caller.refusal
                refused = refusal is not None
                if refusal is not None:
                    await self._refusal(refusal, caller.presented.scheme)(scope, receive, send)
                    return
                nonce = self._refusals.fresh_nonce(caller.presented.scheme)
                fresh = [] if nonce is None else [(b"dpop-nonce", nonce.encode())]
                message["headers"] = [*message["headers"], *headers, *fresh]
                await send(message)
            elif ended is not None and message.get("more_body"):
                refused = True
                await send({"type": "http.response.body", "body": b""})
            else:
                await send(message)

        return send_unless_refused

    def _ended(self, caller: Caller) -> OAuthError | None:
        try:
            self._recheck(caller)
        except OAuthError as error:
            return error
        return None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
