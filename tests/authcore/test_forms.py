"""Form bodies are read strictly (RFC 6749 §3.2)."""

import pytest

from authcore.errors import InvalidRequest
from authcore.forms import parse_form


def test_a_parameter_is_read_once_and_empty_ones_are_absent() -> None:
    form = parse_form("a=1&b=&audience=x&audience=y&c=%C3%A9+e")
    assert (form.get("a"), form.get("b"), form.get("missing"), form.get("c")) == ("1", None, None, "é e")
    assert form.get_all("audience") == ["x", "y"]
    with pytest.raises(InvalidRequest, match="audience"):
        form.get("audience")
    with pytest.raises(InvalidRequest, match="b is required"):
        form.require("b")


@pytest.mark.parametrize("text", ["a=%ff", "&".join(["a=1"] * 65)])
def test_what_is_not_a_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_form(text)
