"""Resources, prompts and completion of the MCP conformance suite, and methods only its older half knows."""

import json
from typing import Any

from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    EmptyResult,
    PromptReference,
    ResourceTemplateReference,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)

from tests.conformance.fixture_content import PNG, embedded, image


def _text(text: str) -> UserMessage:
    return UserMessage(content=TextContent(type="text", text=text))


def simple() -> list[UserMessage]:
    return [_text("This is a simple prompt for testing.")]


def with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    return [_text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]


def with_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803  the suite's name
    return [UserMessage(content=embedded(resourceUri, "The embedded resource")), _text("Read it.")]


def with_image() -> list[UserMessage]:
    return [UserMessage(content=image()), _text("Look at it.")]


PROMPTS = {
    "test_simple_prompt": simple,
    "test_prompt_with_arguments": with_arguments,
    "test_prompt_with_embedded_resource": with_resource,
    "test_prompt_with_image": with_image,
}


def add_to(server: MCPServer) -> None:
    """Add resources, prompts and completion."""

    @server.resource("test://static-text", mime_type="text/plain")
    def _() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def _() -> bytes:
        return PNG

    @server.resource("test://watched-resource", mime_type="text/plain")
    def _() -> str:
        return "watched"

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def _(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    for name, prompt in PROMPTS.items():
        server.add_prompt(Prompt.from_function(prompt, name=name, description=name))

    @server.completion()
    async def _(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        return Completion(values=[], total=0, has_more=False)


def add_legacy_methods(server: Server[Any]) -> None:
    """Add what 2026-07-28 has no more: log levels, and subscriptions outside of a stream."""

    async def accept(_: ServerRequestContext[Any, Any], __: object) -> EmptyResult:
        return EmptyResult()

    server.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
