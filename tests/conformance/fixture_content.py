"""Tools of the MCP conformance suite that answer with content, after notifications, or with an error."""

import base64
from typing import Annotated, Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import Field

# The smallest files of their kinds: one red pixel, no sound.
PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
WAV: Final = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"

SCHEMA_2020_12: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    resource = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(type="resource", resource=resource)


def text_content() -> str:
    return "This is a simple text response for testing."


def image_content() -> list[ImageContent]:
    return [image()]


def audio_content() -> list[AudioContent]:
    return [AudioContent(type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav")]


def embedded_resource() -> list[EmbeddedResource]:
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


def mixed_content() -> list[ContentBlock]:
    document = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return [TextContent(type="text", text="Multiple content types test:"), image(), document]


def failing() -> str:
    raise RuntimeError("This tool intentionally returns an error for testing")


def with_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "nowhere",
) -> str:
    return region


async def logging(ctx: Context) -> str:
    for step in ("started", "at work", "done"):
        await ctx.info(step)  # pyright: ignore[reportDeprecated]  the older half of the suite asks for it
    return "logged"


async def progress(ctx: Context) -> str:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
    return "reported"


async def needing_sampling(ctx: Context) -> str:
    capabilities = ctx.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "The client must be able to sample",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return "The client can sample"


async def changing_tools(ctx: Context) -> str:
    await ctx.notify_tools_changed()
    return "said so"


async def changing_prompts(ctx: Context) -> str:
    await ctx.notify_prompts_changed()
    return "said so"


def schema() -> str:
    return "The schema is the point"


class Fixtures(MCPServer):
    """Can say what schema a tool has, in the suite's words."""

    async def list_tools(self) -> list[Tool]:
        tools = await super().list_tools()
        return [
            tool.model_copy(update={"input_schema": SCHEMA_2020_12}) if tool.name == SCHEMA_TOOL else tool
            for tool in tools
        ]


SCHEMA_TOOL: Final = "json_schema_2020_12_tool"
TOOLS: Final = {
    "test_simple_text": text_content,
    "test_image_content": image_content,
    "test_audio_content": audio_content,
    "test_embedded_resource": embedded_resource,
    "test_multiple_content_types": mixed_content,
    "test_error_handling": failing,
    "test_x_mcp_header": with_header,
    "test_tool_with_logging": logging,
    "test_logging_tool": logging,
    "test_tool_with_progress": progress,
    "test_missing_capability": needing_sampling,
    "test_trigger_tool_change": changing_tools,
    "test_trigger_prompt_change": changing_prompts,
    SCHEMA_TOOL: schema,
}


def add_to(server: MCPServer) -> None:
    """Add these tools."""
    for name, tool in TOOLS.items():
        server.add_tool(tool, name=name, description=name, structured_output=False)
