"""`python -m token_broker profile check [FILE]`: line by line, what fits a live server and what does not."""

import argparse
import asyncio
import sys

from authcore.clock import system_clock
from authcore.http_client import pooled_client
from authcore.service import load_settings
from token_broker.profile_check import ProfileCheck
from token_broker.profiles import load_profile
from token_broker.settings import Settings

MARKS = {True: "fits    ", False: "DOES NOT", None: "unknown "}


def add_profile(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    check = parser.add_subparsers(metavar="ACTION", required=True).add_parser(
        "check",
        help="compare with the live server",
        description="Asks the authorization server of the settings (BROKER_*) whether a profile fits it.",
    )
    check.add_argument("file", nargs="?", help="name or path of a profile; that of the settings if left out")
    check.set_defaults(run=check_profile)


def check_profile(arguments: argparse.Namespace) -> int:
    """Return the exit code: 0 if nothing speaks against the profile, 1 if something does."""
    name: str | None = arguments.file
    settings = load_settings(Settings, **({} if name is None else {"profile": name}))
    return asyncio.run(_report(settings))


async def _report(settings: Settings) -> int:
    good = True
    profile = load_profile(settings.profile)
    async with pooled_client(
        timeout_seconds=settings.http_timeout_seconds, ca_file=settings.ca_file
    ) as client:
        async for finding in ProfileCheck(settings, profile, client, now=system_clock).findings():
            sys.stdout.write(f"{MARKS[finding.fits]}  {finding.what}\n")
            good = good and finding.fits is not False
    return 0 if good else 1
