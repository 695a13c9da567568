"""What to do with a running demo: addresses for a browser, and commands to paste."""

import json
import sys
from pathlib import Path

from demo.parts import ADMIN_PASSWORD, Addresses


def addresses_of(addresses: Addresses, directory: Path) -> str:
    """Return the addresses, one per line."""
    return "\n".join(
        (
            f"  MCP endpoint           {addresses.mcp}",
            f"  one-time passwords     {addresses.inbox}",
            f"  issuer                 {addresses.issuer}",
            f"  your agents            {addresses.issuer}/agents",
            f"  administration         {addresses.issuer}/admin",
            f"    its password         {(directory / ADMIN_PASSWORD).read_text()}",
            f"  API                    {addresses.api}/stocks",
        )
    )


def commands_for(addresses: Addresses) -> str:
    """Return ready commands for the usual MCP clients."""
    desktop = {"mcpServers": {"delegant": {"command": "npx", "args": ["-y", "mcp-remote", addresses.mcp]}}}
    return f"""\
MCP Inspector (Node 22): opens a browser; log in as john.doe@demo.example, read the password in the inbox
  npx @modelcontextprotocol/inspector
  then: transport "Streamable HTTP", URL {addresses.mcp}, Connect

mcp-remote
  npx -y mcp-remote {addresses.mcp}

Claude Desktop: claude_desktop_config.json
{_indented(json.dumps(desktop, indent=2))}

curl
  curl -i {addresses.mcp}                      # 401, and where to go
  TOKEN=$({sys.executable} -m demo.access_token john.doe@demo.example \\
    --mcp {addresses.mcp} --inbox {addresses.inbox})
  curl -s {addresses.mcp} -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"fetch-stock-prices"}}}}'"""


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
