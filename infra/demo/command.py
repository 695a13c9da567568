"""What `python -m demo` does: start, tell the story, stay; and end in order, whoever asks for it."""

import asyncio
import logging
import signal
import time
from dataclasses import dataclass

from demo import hints, state_file
from demo.development_ca import CertificatesError
from demo.embedded_redis import NoRedisError
from demo.options import Options, parse
from demo.ports import PortTakenError
from demo.settings import Settings
from demo.stack import Ready, Stack, StackError, Waiting, running_stack
from demo.story import USERS, StoryError, exchanges_seen, tell
from demo.terminal import BOLD, GREEN, RED, Terminal

INTERRUPTED = 130


def main() -> int:
    """Run, and return the exit status."""
    options, settings = parse(), Settings()
    terminal = Terminal.standard(no_color=bool(settings.no_color))
    # The SDK logs what the agent runs into; the story tells it better.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    return asyncio.run(_supervised(options, settings, terminal))


async def _supervised(options: Options, settings: Settings, terminal: Terminal) -> int:
    """Run until it ends, fails, or a signal ends it."""
    phase = _Phase()
    work = asyncio.ensure_future(_run(options, settings, terminal, phase))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, phase.stop, work)
    try:
        await work
    except asyncio.CancelledError:
        terminal.say("Stopped.")
        return 0 if phase.is_up else INTERRUPTED
    except (CertificatesError, NoRedisError, PortTakenError, StackError, StoryError) as error:
        terminal.say(f"✗ {error}", style=RED)
        return 1
    return 0


@dataclass(slots=True)
class _Phase:
    is_up: bool = False
    _stopping: bool = False

    def stop(self, work: asyncio.Future[None]) -> None:
        # Once: a second Ctrl-C must not interrupt the stopping.
        if not self._stopping:
            self._stopping = True
            work.cancel()


async def _run(options: Options, settings: Settings, terminal: Terminal, phase: _Phase) -> None:

    def progress(event: Ready | Waiting) -> None:
        if isinstance(event, Ready):
            terminal.say(f"  {event.part:<11} ready after {event.seconds:4.1f} s   {event.url}")
        else:
            terminal.status(f"  waiting for {', '.join(event.parts)} … {event.seconds:.1f} s")

    if options.state is not None:
        # What an earlier run left there must not be taken for this one.
        options.state.unlink(missing_ok=True)
    began = time.monotonic()
    terminal.say("Starting", style=BOLD)
    async with running_stack(options.stack(redis_url=settings.redis_url), progress) as stack:
        if options.logs is not None:
            terminal.say(f"  logs in {options.logs}")
        if options.state is not None:
            state_file.write(options.state, stack)
        if options.story:
            await _story(stack, terminal)
            terminal.say(f"Done in {time.monotonic() - began:.1f} s.", style=GREEN)
        if not options.once:
            phase.is_up = True
            await _stay(stack, terminal)


async def _story(stack: Stack, terminal: Terminal) -> None:
    before = await exchanges_seen(stack.addresses)
    # Over TLS an agent can be known by a document of its own; the next user's registers, as older ones do.
    documents = (stack.addresses.agent_metadata, None)
    outcomes = [
        await tell(user, stack.addresses, terminal, metadata_url=document)
        for user, document in zip(USERS, documents, strict=True)
    ]
    exchanges = await exchanges_seen(stack.addresses) - before
    terminal.say()
    for outcome in outcomes:
        rows = ", ".join(f"{row['id']} {row['price']}" for row in outcome.rows)
        terminal.say(f"{outcome.user.email:<26} {outcome.user.region:<8} {rows}")
    terminal.say(f"Token exchanges the authorization server saw: {exchanges}, one for each user")
    if exchanges != len(USERS):
        raise StoryError(f"{len(USERS)} delegations took {exchanges} token exchanges")


async def _stay(stack: Stack, terminal: Terminal) -> None:
    """Stay up until cancelled.

    Raises:
        StackError: a part ended by itself.
    """
    terminal.say()
    terminal.say("Running", style=BOLD)
    terminal.say(hints.addresses_of(stack.addresses, stack.directory))
    terminal.say()
    terminal.say(hints.commands_for(stack.addresses, stack.directory))
    if stack.addresses.ca is not None:
        terminal.say()
        terminal.say(hints.trust_for(stack.addresses, stack.addresses.ca))
    terminal.say()
    terminal.say("Ctrl-C ends everything.", style=BOLD)
    ended = await stack.first_ended()
    raise StackError(stack.explain_end(ended))
