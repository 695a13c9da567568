"""What the demo prints: plain lines, colours only for people (https://no-color.org)."""

import sys
from dataclasses import dataclass, field
from typing import Final, TextIO

BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
CYAN: Final = "36"

_CLEAR_LINE: Final = "\r\x1b[2K"


@dataclass(slots=True)
class Terminal:
    """Where the demo talks. On a terminal the last line may be a passing status."""

    stream: TextIO
    is_terminal: bool
    colour: bool
    _status: str = field(default="", init=False)

    @classmethod
    def standard(cls, *, no_color: bool) -> "Terminal":
        """Return the process's standard output."""
        is_terminal = sys.stdout.isatty()
        return cls(sys.stdout, is_terminal, is_terminal and not no_color)

    def say(self, text: str = "", *, style: str = "") -> None:
        """Print one or more lines."""
        self._clear()
        self.stream.write(self._styled(text, style) + "\n")
        self.stream.flush()

    def status(self, text: str) -> None:
        """Show what is being waited for, until the next line is printed. Nothing where nobody watches."""
        if self.is_terminal and text != self._status:
            self._clear()
            self.stream.write(self._styled(text, DIM))
            self.stream.flush()
            self._status = text

    def _clear(self) -> None:
        if self._status:
            self.stream.write(_CLEAR_LINE)
            self._status = ""

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and self.colour and text else text
