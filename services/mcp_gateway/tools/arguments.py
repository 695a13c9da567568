"""Arguments of tools: one model is the schema that agents see and the check they cannot get round."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeVar, cast

from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_gateway.caller import Caller
from mcp_gateway.documents import SYMBOL_PATTERN
from mcp_gateway.tools.tool import Check, Run, Upstream, failed

MAX_FAULTS: Final = 10


class Arguments(BaseModel):
    """Base: nothing beyond what is described, and nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Symbol = Annotated[
    str,
    Field(
        pattern=SYMBOL_PATTERN,
        description="The stock's symbol, as fetch-stock-prices lists it",
        examples=["COM1"],
    ),
]
Limit = Annotated[int, Field(ge=1, le=100, description="How many to return at most", examples=[20])]

A = TypeVar("A", bound=Arguments)


def reading(
    name: str, model: type[A], run: Callable[[Upstream, Caller, A], Awaitable[CallToolResult]]
) -> Run:
    """Return the tool's code behind the check of its arguments.

    What is wrong comes back as a result the model can act on, not as a protocol error its client would hide.
    """

    async def checked(upstream: Upstream, caller: Caller, arguments: Mapping[str, Any]) -> CallToolResult:
        try:
            given = model.model_validate(dict(arguments))
        except ValidationError as error:
            return failed(_explained(name, model, error))
        return await run(upstream, caller, given)

    return checked


def checking(name: str, model: type[Arguments]) -> Check:
    """Return the check alone, for those who have to know before the tool runs."""

    def check(arguments: Mapping[str, Any]) -> CallToolResult | None:
        try:
            model.model_validate(dict(arguments))
        except ValidationError as error:
            return failed(_explained(name, model, error))
        return None

    return check


def _explained(name: str, model: type[Arguments], error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [_fault(model, fault["loc"], fault["msg"]) for fault in faults[:MAX_FAULTS]]
    return "\n".join(
        [f"{name} was not called as it has to be, and nothing was done:", *lines, "Call it again."]
    )


def _fault(model: type[Arguments], path: tuple[object, ...], message: str) -> str:
    # The name of an argument that should not be there is the caller's: anything, half a character as well.
    name = str(path[0] if path else "arguments")[:60].encode("ascii", "replace").decode("ascii")
    field = model.model_fields.get(name)
    if field is None:
        known = ", ".join(model.model_fields) or "none"
        return f"- {name}: {message}. The arguments are: {known}."
    examples = cast("list[object]", field.examples or [])
    example = f", such as {examples[0]!r}" if examples else ""
    return f"- {name}: {message}. It is: {field.description or 'required'}{example}."
