"""The forms of an HTML page, as a browser would submit them (HTML, section 4.10)."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

VALUELESS: Final = frozenset({"submit", "button", "image", "reset", "file"})


@dataclass(frozen=True, slots=True)
class Control:
    """One control with a name. `kind` is an input's type, or `button`, `select`, `textarea`."""

    name: str
    value: str
    kind: str
    autocomplete: str = ""
    label: str = ""


@dataclass(slots=True)
class Form:
    """One form. `fields` are sent with it; of `buttons` only the one that is pressed."""

    action: str
    method: str
    fields: list[Control] = field(default_factory=list[Control])
    buttons: list[Control] = field(default_factory=list[Control])

    def has(self, name: str) -> bool:
        """Tell whether a field of this name is sent with the form."""
        return any(control.name == name for control in self.fields)

    def field_for(self, *, kind: str = "", autocomplete: str = "", names: frozenset[str]) -> Control | None:
        """Return the first field with the type, the autocomplete token, or one of the names."""
        for control in self.fields:
            if control.kind == "hidden":
                continue
            if control.kind == kind or (autocomplete and autocomplete in control.autocomplete.split()):
                return control
            if control.name.lower() in names:
                return control
        return None

    def button(self, *words: str) -> Control | None:
        """Return the first button whose value, name or label contains one of the words."""
        for control in self.buttons:
            text = f"{control.name} {control.value} {control.label}".lower()
            if any(word in text for word in words):
                return control
        return None


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text: list[str] = []
        self._form: Form | None = None
        self._open: tuple[dict[str, str], str] | None = None
        self._inner: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "style", "title"):
            self._silent += 1
        elif tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower() or "get")
            self.forms.append(self._form)
        elif tag == "input":
            self._add_input(given)
        elif tag in ("button", "textarea", "select"):
            self._open, self._inner = (given, tag), []
        elif tag == "option":
            self._choose(given)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "title"):
            self._silent = max(0, self._silent - 1)
        elif tag == "form":
            self._form = None
        elif self._open is not None and tag == self._open[1]:
            self._close_control()

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._inner.append(data)
        if not self._silent and data.strip():
            self.text.append(" ".join(data.split()))

    def _add_input(self, given: dict[str, str]) -> None:
        kind = given.get("type", "text").lower()
        if self._form is None or "disabled" in given:
            return
        unchecked = kind in ("checkbox", "radio") and "checked" not in given
        default = "on" if kind in ("checkbox", "radio") else ""
        control = Control(
            given.get("name", ""), given.get("value", default), kind, given.get("autocomplete", "")
        )
        if kind in VALUELESS:
            self._form.buttons.append(control)
        elif control.name and not unchecked:
            self._form.fields.append(control)

    def _choose(self, given: dict[str, str]) -> None:
        """Take the option that is selected, else the first."""
        if self._open is None or self._open[1] != "select":
            return
        if "selected" in given or "value" not in self._open[0]:
            self._open[0]["value"] = given.get("value", "")

    def _close_control(self) -> None:
        if self._open is None:
            return
        (given, tag), inner, self._open = self._open, "".join(self._inner).strip(), None
        if self._form is None or "disabled" in given:
            return
        if tag == "button":
            if given.get("type", "submit").lower() == "submit":
                self._form.buttons.append(
                    Control(given.get("name", ""), given.get("value", ""), "button", label=inner)
                )
        elif given.get("name"):
            value = inner if tag == "textarea" else given.get("value", "")
            self._form.fields.append(Control(given["name"], value, tag))


def forms_of(html: str) -> list[Form]:
    """Return the forms of a page in document order."""
    return _parsed(html).forms


def text_of(html: str) -> str:
    """Return what a reader sees, in one line."""
    return " ".join(_parsed(html).text)


def _parsed(html: str) -> _Parser:
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser
