"""`python -m demo.access_token EMAIL --mcp URL --inbox URL` prints an access token for commands like curl."""

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path

from demo.agent import connected_agent
from demo.browser import Visitor
from demo.inbox import newest_password
from demo.network import Network


async def access_token(email: str, *, mcp_url: str, inbox_url: str, network: Network) -> str:
    """Return a token that an agent got for the user."""
    visitor = Visitor(email, partial(newest_password, inbox_url, network=network))
    async with connected_agent(mcp_url, visitor, name="Command line", network=network) as agent:
        tokens = agent.wallet.tokens
    if tokens is None:
        raise RuntimeError("the MCP server asked for no token")
    return tokens.access_token


def main() -> None:
    """Print a token on standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.access_token",
        description="Registers, logs in and consents at a running demo, and prints the access token.",
    )
    parser.add_argument("email", help="john.doe@demo.example or jane.test@demo.example")
    parser.add_argument("--mcp", required=True, metavar="URL", help="the MCP endpoint")
    parser.add_argument("--inbox", required=True, metavar="URL", help="the inbox of the authorization server")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the authority to trust, with --tls")
    arguments = parser.parse_args()
    network = Network(arguments.ca)
    token = asyncio.run(
        access_token(arguments.email, mcp_url=arguments.mcp, inbox_url=arguments.inbox, network=network)
    )
    sys.stdout.write(token + "\n")


if __name__ == "__main__":
    main()
