"""Tools and a prompt of the MCP conformance suite that ask the client for something.

Until 2025-11-25 a server asks in the middle of a call; since 2026-07-28 it answers with what it needs, and is
called again.
"""

import json
from typing import Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

Answer = str | InputRequiredResult


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


REPLY: Final = _object(response={"type": "string"})
DEFAULTS: Final = _object(
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)
# Every way in which an enumeration may be written.
CHOICES: Final = _object(
    untitledSingle={"type": "string", "enum": ["a", "b"]},
    titledSingle={"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
    untitledMulti={"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
    titledMulti={"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}},
    legacyEnum={"type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"]},
)


async def sampling(prompt: str, ctx: Context) -> str:
    result = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]  asked for by the older half
        [_said(prompt)], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {result.content.text if result.content.type == 'text' else result.content.type}"


async def elicitation(message: str, ctx: Context) -> str:
    return await _elicited(ctx, message, REPLY)


async def defaults(ctx: Context) -> str:
    return await _elicited(ctx, "Who are you?", DEFAULTS)


async def choices(ctx: Context) -> str:
    return await _elicited(ctx, "Choose", CHOICES)


async def _elicited(ctx: Context, message: str, schema: dict[str, Any]) -> str:
    result = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"User response: action={result.action}, content={json.dumps(result.content)}"


def _said(text: str) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(type="text", text=text))


def _ask(message: str, member: str, kind: str = "string") -> ElicitRequest:
    schema = _object(**{member: {"type": kind}})
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[_said(text)], max_tokens=100))


def _needs(state: str | None = None, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def _told(ctx: Context, name: str) -> dict[str, Any]:
    answer = (ctx.input_responses or {}).get(name)
    return dict(answer.content) if isinstance(answer, ElicitResult) and answer.content else {}


def _has(ctx: Context, *names: str) -> bool:
    return set(names) <= (ctx.input_responses or {}).keys()


async def one_elicitation(ctx: Context) -> Answer:
    name = _told(ctx, "user_name").get("name")
    return f"Hello, {name}!" if name else _needs(user_name=_ask("What is your name?", "name"))


async def one_sampling(ctx: Context) -> Answer:
    if _has(ctx, "capital_question"):
        return "The model has answered"
    return _needs(capital_question=_sample("What is the capital of France?"))


async def one_roots(ctx: Context) -> Answer:
    return "The roots are known" if _has(ctx, "client_roots") else _needs(client_roots=ListRootsRequest())


async def with_state(ctx: Context) -> Answer:
    if _has(ctx, "confirm") and ctx.request_state == "first":
        return "state-ok"
    return _needs("first", confirm=_ask("Go on?", "ok", "boolean"))


async def three_at_once(ctx: Context) -> Answer:
    if _has(ctx, "user_name", "greeting", "client_roots"):
        return "All there"
    name, greeting = _ask("What is your name?", "name"), _sample("Write a greeting")
    return _needs("asked", user_name=name, greeting=greeting, client_roots=ListRootsRequest())


async def three_rounds(ctx: Context) -> Answer:
    if ctx.request_state == "second" and _has(ctx, "step2"):
        return "Done"
    if ctx.request_state == "first" and _has(ctx, "step1"):
        return _needs("second", step2=_ask("Step 2: what is your favourite colour?", "color"))
    return _needs("first", step1=_ask("Step 1: what is your name?", "name"))


async def as_able(ctx: Context) -> Answer:
    able = ctx.client_capabilities
    requests: dict[str, InputRequest] = {}
    if able is not None and able.sampling is not None:
        requests["sample"] = _sample("Say hello")
    if able is not None and able.elicitation is not None:
        requests["ask"] = _ask("What is your name?", "name")
    return _needs("asked", **requests)


async def prompt_with_context(ctx: Context) -> list[UserMessage] | InputRequiredResult:
    context = _told(ctx, "user_context").get("context")
    if context is None:
        return _needs(user_context=_ask("What is it about?", "context"))
    return [UserMessage(content=TextContent(type="text", text=f"It is about {context}"))]


_ROUNDS: Final = "test_input_required_result_"
TOOLS: Final = {
    "test_sampling": sampling,
    "test_elicitation": elicitation,
    "test_elicitation_sep1034_defaults": defaults,
    "test_elicitation_sep1330_enums": choices,
    "test_streaming_elicitation": one_elicitation,
    f"{_ROUNDS}elicitation": one_elicitation,
    f"{_ROUNDS}sampling": one_sampling,
    f"{_ROUNDS}list_roots": one_roots,
    f"{_ROUNDS}request_state": with_state,
    f"{_ROUNDS}multiple_inputs": three_at_once,
    f"{_ROUNDS}multi_round": three_rounds,
    f"{_ROUNDS}tampered_state": with_state,
    f"{_ROUNDS}capabilities": as_able,
}


def add_to(server: MCPServer) -> None:
    """Add these tools and the prompt."""
    for name, tool in TOOLS.items():
        server.add_tool(tool, name=name, description=name, structured_output=False)
    server.add_prompt(
        Prompt.from_function(prompt_with_context, name=f"{_ROUNDS}prompt", description="A prompt that asks")
    )
