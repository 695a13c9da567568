"""`python -m token_broker delegations`: what an operator does, from a terminal or a script."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from authcore.errors import TemporarilyUnavailable
from authcore.service import load_settings, settings_help
from token_broker.operator_client import OperatorClient, OperatorSettings, Refused, operator_client, printable

COLUMNS: Final = {
    "id": "ID",
    "user": "USER",
    "client": "CLIENT",
    "audiences": "AUDIENCES",
    "created_at": "CREATED",
    "last_used_at": "LAST USED",
    "expires_at": "EXPIRES",
}

Action = Callable[[OperatorClient, argparse.Namespace], Awaitable[None]]


def add_delegations(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", **_help("list delegations, those that expire first first"))
    listing.add_argument("--user", metavar="HASH", help="only this user's, by the hash that is listed")
    listing.add_argument("--client", metavar="ID", help="only this agent's")
    listing.add_argument("--for", dest="target", metavar="URL", help="only with a token for this audience")
    listing.add_argument(
        "--limit", type=_positive, default=100, metavar="N", help="at most so many (default: %(default)s)"
    )
    showing = actions.add_parser("show", **_help("show one delegation, and what its tokens are good for"))
    showing.add_argument("id", metavar="ID", help="as it is listed, or as the authorization server names it")
    ending = actions.add_parser("revoke", **_help("end delegations: no token of them is given out again"))
    ending.add_argument("ids", nargs="+", metavar="ID", help="as they are listed")
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="write JSON")
    _let(listing, _list)
    _let(showing, _show)
    _let(ending, _revoke)


def _help(said: str) -> dict[str, Any]:
    return {
        "help": said,
        "description": said[0].upper() + said[1:] + ".",
        "epilog": settings_help(OperatorSettings),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _let(parser: argparse.ArgumentParser, action: Action) -> None:
    """Have a parser's arguments carried out, at the broker that they and the environment name."""
    parser.add_argument("--broker", dest="broker_url", metavar="URL", help="instead of OPERATOR_BROKER_URL")
    parser.add_argument("--audience", metavar="URL", help="instead of OPERATOR_AUDIENCE")
    parser.add_argument("--client-id", metavar="ID", help="instead of OPERATOR_CLIENT_ID")
    parser.add_argument("--key", dest="key_file", metavar="FILE", help="instead of OPERATOR_KEY_FILE")
    parser.add_argument("--ca", dest="ca_file", metavar="FILE", help="instead of OPERATOR_CA_FILE")

    def run(arguments: argparse.Namespace) -> int:
        return _run(action, arguments)

    parser.set_defaults(run=run)


def _run(action: Action, arguments: argparse.Namespace) -> int:
    names = ("broker_url", "audience", "client_id", "key_file", "ca_file")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    settings = load_settings(OperatorSettings, **given)

    async def act() -> None:
        async with operator_client(settings) as client:
            await action(client, arguments)

    try:
        asyncio.run(act())
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except TemporarilyUnavailable as error:
        sys.stderr.write(f"the broker at {settings.broker_url} cannot be asked: {error.reason}\n")
        return 1
    return 0


async def _list(client: OperatorClient, arguments: argparse.Namespace) -> None:
    wanted = {"user": arguments.user, "client": arguments.client, "audience": arguments.target}
    query = {name: value for name, value in wanted.items() if value is not None}
    found, more = await client.delegations(query, limit=arguments.limit)
    if arguments.json:
        sys.stdout.write(json.dumps({"delegations": found, "more": more}, indent=2) + "\n")
        return
    sys.stdout.write(_table([tuple(COLUMNS.values()), *(_row(one) for one in found)]))
    if more:
        sys.stderr.write(f"There are more: the first {len(found)} are shown. See --limit.\n")


async def _show(client: OperatorClient, arguments: argparse.Namespace) -> None:
    found = await client.delegation(arguments.id)
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    named = zip((name.lower() for name in COLUMNS.values()), _row(found), strict=True)
    sys.stdout.write(_table(list(named)))
    tokens = [(str(one["audience"]), str(one["scope"]), str(one["expires_at"])) for one in found["tokens"]]
    sys.stdout.write("\n" + _table([("TOKEN FOR", "SCOPE", "EXPIRES"), *tokens]) if tokens else "")


async def _revoke(client: OperatorClient, arguments: argparse.Namespace) -> None:
    for name in arguments.ids:
        await client.end(name)
        sys.stdout.write(f"revoked {printable(name)}\n")


def _row(delegation: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_cell(delegation[name]) for name in COLUMNS)


def _cell(value: object) -> str:
    return " ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    shown = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)
    return "".join(f"{line}\n" for line in lines)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return int(text)
