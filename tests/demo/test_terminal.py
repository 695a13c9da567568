from io import StringIO

from demo.terminal import BOLD, Terminal


def test_without_a_terminal_the_output_is_plain_and_has_no_passing_status() -> None:
    stream = StringIO()
    terminal = Terminal(stream, is_terminal=False, colour=False)
    terminal.status("waiting")
    terminal.say("ready", style=BOLD)
    assert stream.getvalue() == "ready\n"


def test_on_a_terminal_the_status_gives_way_to_the_next_line() -> None:
    stream = StringIO()
    terminal = Terminal(stream, is_terminal=True, colour=False)
    terminal.status("waiting")
    terminal.status("waiting")
    terminal.say("ready")
    assert stream.getvalue() == "waiting\r\x1b[2Kready\n"


def test_colours_are_for_terminals_that_want_them() -> None:
    stream = StringIO()
    Terminal(stream, is_terminal=True, colour=True).say("ready", style=BOLD)
    assert stream.getvalue() == "\x1b[1mready\x1b[0m\n"
