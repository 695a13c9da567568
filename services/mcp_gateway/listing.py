"""How lists show what cannot be used yet."""

from typing import Final, TypeVar

from mcp.types import Prompt, ResourceTemplate, Tool

SCOPES_NEEDED: Final = "example.delegant/scopes-needed"
"""In the `_meta` of what is listed and cannot be used yet: all scopes to ask for."""

Listed = TypeVar("Listed", Tool, ResourceTemplate, Prompt)


def marked(definition: Listed, scopes_needed: frozenset[str]) -> Listed:
    """Return the definition, with the scopes to ask for if there are any."""
    if not scopes_needed:
        return definition
    meta = (definition.meta or {}) | {SCOPES_NEEDED: sorted(scopes_needed)}
    return definition.model_copy(update={"meta": meta})
