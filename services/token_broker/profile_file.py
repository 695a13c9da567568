"""Reading a profile of an authorization server from TOML, so that every complaint names a file and a line."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

SHIPPED: Final = Path(__file__).parent / "as_profiles"

KeyPath = tuple[str, ...]
"""Where a value is in the file: `("exchange", "adapter")`."""


class ProfileError(ValueError):
    """The profile cannot be used. The message has one line for each reason: `file:line: what is wrong`."""


@dataclass(frozen=True, slots=True)
class ProfileDocument:
    """What the file says, on top of the shipped profile that it extends, if any."""

    path: Path
    values: dict[str, Any]
    places: Mapping[KeyPath, str]
    """`file:line` of every key and table."""

    def place(self, key: KeyPath) -> str:
        """Return where the key is; of a missing one, where it should be."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places[key] if key else f"{self.path}:1"


def read_profile(name: str) -> ProfileDocument:
    """Read a shipped profile by its name, or any other by its path.

    Raises:
        ProfileError: there is none, or it is not TOML, or extends something that is not shipped.
    """
    path = Path(name) if "/" in name or name.endswith(".toml") else _shipped(name)
    own = _read(path)
    parent_name = own.values.pop("extends", None)
    if parent_name is None:
        return own
    place = own.place(("extends",))
    if not isinstance(parent_name, str):
        raise ProfileError(f"{place}: extends: must be the name of a shipped profile")
    try:
        parent = _read(_shipped(parent_name))
    except ProfileError:
        raise ProfileError(f"{place}: extends: must be one of {', '.join(shipped_names())}") from None
    return ProfileDocument(path, _merged(parent.values, own.values), {**parent.places, **own.places})


def shipped_names() -> list[str]:
    """Return the names of the profiles that come with the broker."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def _shipped(name: str) -> Path:
    if name not in shipped_names():
        raise ProfileError(f"{name}: not a path, nor one of {', '.join(shipped_names())}")
    return SHIPPED / f"{name}.toml"


def _read(path: Path) -> ProfileDocument:
    try:
        text = path.read_text("utf-8")
        values = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read: {type(error).__name__}") from None
    except tomllib.TOMLDecodeError as error:
        # Its text ends with "(at line 3, column 5)".
        raise ProfileError(f"{path}: not TOML: {error}") from None
    return ProfileDocument(path, values, {key: f"{path}:{line}" for key, line in line_numbers(text).items()})


def line_numbers(text: str) -> dict[KeyPath, int]:
    """Return the line on which each key and table of a TOML document begins. The document must be valid.

    Every statement of TOML is a document by itself, so a statement ends where what was read so far parses.
    """
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    statement, began = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not statement:
            began = number
        statement += line
        try:
            paths = list(_paths(tomllib.loads(statement)))
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = paths[-1]
        else:
            paths = [table + path for path in paths]
        for path in paths:
            found.setdefault(path, began)
        statement = ""
    return found


def _paths(values: Mapping[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _paths(cast("dict[str, Any]", value), (*above, name))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        beneath = merged.get(name)
        if isinstance(beneath, dict) and isinstance(value, dict):
            merged[name] = _merged(cast("dict[str, Any]", beneath), cast("dict[str, Any]", value))
        else:
            merged[name] = value
    return merged
