"""The state file: where a running demo is, for programs (schema in README.md)."""

import json
import os
from pathlib import Path
from typing import Any, Final

from demo.keys import write_private
from demo.stack import Stack

VERSION: Final = 1


def describe(stack: Stack) -> dict[str, Any]:
    """Return the document of a running stack."""
    addresses = stack.addresses
    return {
        "version": VERSION,
        "mcp": addresses.mcp,
        "issuer": addresses.issuer,
        "inbox": addresses.inbox,
        "api": addresses.api,
        "broker": addresses.broker,
        "ca": None if addresses.ca is None else str(addresses.ca),
        "redis": addresses.redis,
        "processes": {
            name: {"pid": part.pid, "log": str(part.log.absolute()), "url": part.url}
            for name, part in stack.processes.items()
        },
    }


def write(path: Path, stack: Stack) -> None:
    """Put the document into place at once: a reader sees all of it or none.

    It is private, because the URL of Redis holds a password.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    write_private(draft, json.dumps(describe(stack), indent=2) + "\n").replace(path)
