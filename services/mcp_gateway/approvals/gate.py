"""Between a call that is allowed and its execution: has its user agreed to it?

For what commits the user to nothing a client that shows forms is asked through one. All else is put to the
user on our own page: through the client, if it opens pages, or by a refusal that says where to go.

Spec: MCP 2026-07-28, multi round-trip requests and elicitation.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from authcore.claims import VerifiedToken
from authcore.clock import Clock
from authcore.events import Outcome
from mcp_gateway.approvals.calls import Call, UnreadableCall, call_of, shown
from mcp_gateway.approvals.sealing import Sealer
from mcp_gateway.approvals.store import Approval, Approvals, new_id
from mcp_gateway.policy import Risk
from mcp_gateway.tools.tool import failed

QUESTION: Final = "approval"
"""The key of our one input request."""

APPROVAL_URL: Final = "example.delegant/approval-url"
"""In the `_meta` of a refusal: where the user can approve the call."""

POLL_SECONDS: Final = 0.5
STATE: Final = "request state"

Context = ServerRequestContext[Any, Any]
Answer = CallToolResult | InputRequiredResult


@dataclass(frozen=True, slots=True)
class Round:
    """What the client can do, and what it brings back from an earlier round."""

    form: bool
    """It can show a form."""
    url: bool
    """It can send its user to a page."""
    state: str | None
    response: ElicitResult | None


def round_of(ctx: Context, params: CallToolRequestParams) -> Round:
    """Return it. Earlier protocol versions can do nothing of this: they are served without a back-channel."""
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return Round(form=False, url=False, state=None, response=None)
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    # An empty object means forms, as before there was anything else (MCP, elicitation, capabilities).
    form = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    url = elicitation is not None and elicitation.url is not None
    response = (params.input_responses or {}).get(QUESTION)
    return Round(form, url, params.request_state, response if isinstance(response, ElicitResult) else None)


class Gate:
    """Lets a call pass once its user has agreed to it, and once only."""

    def __init__(
        self,
        approvals: Approvals,
        sealer: Sealer,
        *,
        pages: str,
        service: str,
        seconds: int,
        wait_seconds: float,
        now: Clock,
    ) -> None:
        self._approvals = approvals
        self._sealer = sealer
        self._pages = pages
        self._service = service
        self._seconds = seconds
        self._wait_seconds = wait_seconds
        self._now = now

    async def settle(
        self, tool: Tool, risk: Risk, token: VerifiedToken, arguments: Mapping[str, Any], given: Round
    ) -> Answer | None:
        """Return `None` if the call is to be carried out now, else what the client is told.

        Raises:
            MCPError: the request state is not ours, not for this call, not for this user, or over.
            TemporarilyUnavailable: it cannot be said.
        """
        try:
            call = call_of(token, tool.name, arguments)
            rows = shown(tool, arguments)
        except UnreadableCall as error:
            return failed(f"{tool.name} cannot be put to the user: {error}.")
        if given.state is not None:
            state = self._opened(given.state, call, token)
            if state["by"] == "client":
                if risk is Risk.HIGH:
                    raise _refused_state()
                return await self._answered_in_client(state["id"], call, given)
            return await self._returned(state["id"], call, token, given)
        if risk is Risk.MEDIUM and given.form:
            return self._form(tool, rows, self._state(None, "client", call, token))
        approval = await self._approvals.ask(call)
        approved = await self._approvals.decision(approval)
        if approved is not None:
            return await self._concluded(approval, approved=approved)
        return self._page(tool, approval, self._state(approval, "page", call, token), given)

    async def _answered_in_client(self, approval_id: str, call: Call, given: Round) -> Answer | None:
        response = given.response
        if response is None or response.action != "accept":
            if response is not None and response.action == "decline":
                await self._approvals.record(approval_id, call, Outcome.DENIED, by=call.client_id)
            return _DECLINED
        if (response.content or {}).get("approve") is not True:
            return _DECLINED
        await self._approvals.record(approval_id, call, Outcome.APPROVED, by=call.client_id)
        return None if await self._approvals.use(approval_id, call) else _USED

    async def _returned(
        self, approval_id: str, call: Call, token: VerifiedToken, given: Round
    ) -> Answer | None:
        """Go on where an earlier round sent the user to the page."""
        approval = await self._approvals.find(approval_id)
        if approval is None or approval.call != call:
            raise _refused_state()
        if given.response is not None and given.response.action != "accept":
            return _DECLINED
        approved = await self._awaited(approval)
        if approved is not None:
            return await self._concluded(approval, approved=approved)
        # Nothing to ask the client for: it comes back with the same state by itself (MCP, MRTR).
        return InputRequiredResult(request_state=self._state(approval, "page", call, token))

    async def _awaited(self, approval: Approval) -> bool | None:
        """Return the user's decision, as soon as there is one or when it has been waited for long enough."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._wait_seconds
        approved = await self._approvals.decision(approval)
        while approved is None and loop.time() < until:
            await asyncio.sleep(POLL_SECONDS)
            approved = await self._approvals.decision(approval)
        return approved

    async def _concluded(self, approval: Approval, *, approved: bool) -> Answer | None:
        if not approved:
            return _DECLINED
        return None if await self._approvals.use(approval.id, approval.call) else _USED

    def _page(self, tool: Tool, approval: Approval, state: str, given: Round) -> Answer:
        url = self._pages + approval.id
        if given.url:
            message = (
                f"{tool.title or tool.name}: approve or deny this at {self._service}, on the page that opens."
            )
            request = ElicitRequest(params=ElicitRequestURLParams(message=message, url=url))
            return InputRequiredResult(input_requests={QUESTION: request}, request_state=state)
        minutes = max((approval.until - self._now()) // 60, 1)
        refusal = failed(
            f"{tool.name} needs the user's approval, and nothing has been done yet. Ask the user to open "
            f"{url} in their browser within {minutes} min and to approve it there. Then call {tool.name} "
            "again with exactly the same arguments. You cannot approve it for them."
        )
        return refusal.model_copy(update={"meta": {APPROVAL_URL: url}})

    def _form(self, tool: Tool, rows: list[tuple[str, str]], state: str) -> InputRequiredResult:
        details = "\n".join(f"{label}: {value}" for label, value in rows)
        title = tool.title or tool.name
        schema = {
            "type": "object",
            "properties": {
                "approve": {
                    "type": "boolean",
                    "title": f"Yes: {title}",
                    "description": "Do exactly this, once",
                }
            },
            "required": ["approve"],
        }
        request = ElicitRequest(
            params=ElicitRequestFormParams(
                message=f"{self._service} asks for your approval: {title}\n{details}", requested_schema=schema
            )
        )
        return InputRequiredResult(input_requests={QUESTION: request}, request_state=state)

    def _state(self, approval: Approval | None, by: str, call: Call, token: VerifiedToken) -> str:
        until = self._now() + self._seconds if approval is None else approval.until
        document = {
            "id": new_id() if approval is None else approval.id,
            "by": by,
            "call": call.digest,
            "delegation": token.delegation_id,
        }
        return self._sealer.seal(STATE, document, until=until)

    def _opened(self, state: str, call: Call, token: VerifiedToken) -> dict[str, Any]:
        document = self._sealer.open(STATE, state)
        expected = (call.digest, token.delegation_id)
        if document is None or (document["call"], document["delegation"]) != expected:
            raise _refused_state()
        return document


def _refused_state() -> MCPError:
    return MCPError(
        INVALID_PARAMS,
        "Invalid or expired requestState. Call the tool again without it to ask the user anew.",
        data={"reason": "invalid_request_state"},
    )


_DECLINED: Final = failed(
    "The user did not approve this call, and nothing was done. Do not repeat it unless the user asks you to."
)
_USED: Final = failed(
    "This approval has been used already: one approval is good for one call. "
    "Look whether the first call was carried out before you call again, which asks the user anew."
)
