"""Settings that are secrets: given directly or, better, by the name of a file."""

from pathlib import Path
from typing import cast

from pydantic import SecretStr, ValidationInfo


def given_or_from_file(value: object, info: ValidationInfo) -> object:
    """Return the value given, or what is in the file that the setting `<name>_file` names.

    For a `before` validator of a field that stands after its `_file` in the class.

    Raises:
        ValueError: both were given, or the file cannot be read.
    """
    given = value.get_secret_value() if isinstance(value, SecretStr) else value
    path = info.data.get(f"{info.field_name}_file")
    if given and path is not None:
        raise ValueError("given both directly and as a file")
    if path is None:
        return value
    try:
        return cast(Path, path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"its file cannot be read: {type(error).__name__}") from None
