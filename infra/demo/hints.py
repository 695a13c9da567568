"""What to do with a running demo: addresses for a browser, and commands to paste."""

import json
import shlex
import sys
from pathlib import Path

from demo.parts import ADMIN_PASSWORD, GATEWAY, OPERATOR_KEY, Addresses
from demo.ports import HOST


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


def commands_for(addresses: Addresses, directory: Path) -> str:
    """Return ready commands for the usual MCP clients, and for the broker's operator."""
    node, curl, ours = "", "curl", ""
    if addresses.ca is not None:
        authority = shlex.quote(str(addresses.ca))
        node, ours = f"NODE_EXTRA_CA_CERTS={authority} ", f" --ca {authority}"
        # It checks the certificate that was issued for the name, wherever the name leads on this machine.
        curl += f" --cacert {authority}{_resolved(addresses)}"
    server: dict[str, object] = {"command": "npx", "args": ["-y", "mcp-remote", addresses.mcp]}
    if addresses.ca is not None:
        server["env"] = {"NODE_EXTRA_CA_CERTS": str(addresses.ca)}
    desktop = {"mcpServers": {"delegant": server}}
    return f"""\
MCP Inspector (Node 22): opens a browser; log in as john.doe@demo.example, read the password in the inbox
  {node}npx @modelcontextprotocol/inspector
  then: transport "Streamable HTTP", URL {addresses.mcp}, Connect

mcp-remote
  {node}npx -y mcp-remote {addresses.mcp}

Claude Desktop: claude_desktop_config.json
{_indented(json.dumps(desktop, indent=2))}

curl
  {curl} -i {addresses.mcp}                      # 401, and where to go
  TOKEN=$({sys.executable} -m demo.access_token john.doe@demo.example \\
    --mcp {addresses.mcp} --inbox {addresses.inbox}{ours})
  {curl} -s {addresses.mcp} -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"fetch-stock-prices"}}}}'

The broker's operator: who has let which agent do what; then show ID, or revoke ID
  {sys.executable} -m token_broker delegations list \\
    --broker {addresses.broker} --key {shlex.quote(str(directory / OPERATOR_KEY))}{ours}"""


def trust_for(addresses: Addresses, authority: Path) -> str:
    """Return what to do before a browser, or anything else of this machine, talks to the demo over TLS."""
    lines = [
        "A browser must be told to trust the demo's authority, good for demo.example and loopback only",
        f"  {authority}",
        "  how, by browser and system: infra/demo/README.md, TLS",
    ]
    if addresses.names:
        lines += [
            "and where the names lead: a line for /etc/hosts",
            f"  {HOST} {' '.join(addresses.names.values())}",
        ]
    return "\n".join(lines)


def _resolved(addresses: Addresses) -> str:
    name = addresses.names.get(GATEWAY)
    return f" --resolve {name}:{addresses.ports[GATEWAY]}:{HOST}" if name is not None else ""


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
