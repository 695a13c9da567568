"""Turns what went over the wire into numbered steps that people can read."""

from dataclasses import dataclass, field
from typing import Any, Final

from demo.terminal import BOLD, DIM, Terminal
from demo.wire import Exchange, shorten_authorization, shorten_token, shorten_url

INDENT: Final = "     "
LONG_QUERY: Final = 4
"""From so many parameters on, each gets a line of its own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and the members of its JSON answers that are worth seeing."""

    title: str
    members: tuple[str, ...] = ()


REFUSED: Final = Step("The agent calls the MCP server without a token, and is refused")
RESOURCE: Final = Step(
    "It reads which authorization server protects the MCP server (RFC 9728)",
    ("resource", "authorization_servers", "scopes_supported"),
)
SERVER: Final = Step(
    "It reads how that authorization server works (RFC 8414)",
    (
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "client_id_metadata_document_supported",
        "code_challenge_methods_supported",
        "authorization_response_iss_parameter_supported",
    ),
)
REGISTERED: Final = Step(
    "It registers itself, and gets what policy allows rather than what it asked for (RFC 7591)",
    ("client_id", "client_name", "grant_types", "token_endpoint_auth_method", "scope"),
)
IDENTIFIED: Final = Step(
    "It is known by its metadata document, without registration: the URL of the document is its client_id"
)
LOGIN: Final = Step("The user logs in with a one-time password from the inbox, and consents")
TOKEN: Final = Step(
    "The agent swaps the code for a token, with its PKCE verifier (RFC 7636)",
    ("access_token", "token_type", "expires_in", "scope", "refresh_token"),
)
CONNECTED: Final = Step("It connects to the MCP server with the opaque token")
TOOLS: Final = Step("It asks which tools this token may use")
CALL: Final = Step("It calls a tool; the API behind it sees an exchanged token of its own (RFC 8693)")
OTHER: Final = Step("It goes on")

BY_RPC_METHOD: Final = {"tools/list": TOOLS, "tools/call": CALL}


def step_of(exchange: Exchange) -> Step:
    """Return the step an exchange belongs to."""
    if exchange.actor == "browser":
        return IDENTIFIED if exchange.asks_as_document else LOGIN
    if "/.well-known/oauth-protected-resource" in exchange.path:
        return RESOURCE
    if "/.well-known/" in exchange.path:
        return SERVER
    if "redirect_uris" in exchange.request_json:
        return REGISTERED
    if "grant_type" in exchange.form:
        return TOKEN
    if exchange.status in (401, 403):
        return REFUSED
    if exchange.rpc_method is not None:
        return BY_RPC_METHOD.get(exchange.rpc_method, CONNECTED)
    return OTHER


@dataclass(slots=True)
class Narrator:
    """Prints every exchange under the heading of its step, and keeps it for later checks."""

    terminal: Terminal
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    _number: int = field(default=0, init=False)
    _step: Step | None = field(default=None, init=False)

    def __call__(self, exchange: Exchange) -> None:
        """Tell about one exchange."""
        self.exchanges.append(exchange)
        step = step_of(exchange)
        if step is not self._step:
            self._step = step
            self._number += 1
            self.terminal.say(f"{self._number:>3}. {step.title}", style=BOLD)
        for line in lines_of(exchange, step):
            self.terminal.say(INDENT + line, style=DIM)

    def note(self, text: str) -> None:
        """Add a line to the step."""
        self.terminal.say(INDENT + text)


def lines_of(exchange: Exchange, step: Step) -> list[str]:
    """Return the lines for one exchange: request, response, and what is worth seeing of the answer."""
    address, *parameters = shorten_url(exchange.url).replace("?", "\n?").replace("&", "\n&").split("\n")
    if len(parameters) < LONG_QUERY:
        address, parameters = shorten_url(exchange.url), []
    request = f"{exchange.method} {address}"
    if exchange.rpc_method is not None:
        name = exchange.request_json.get("params", {}).get("name", "")
        request += f"  {exchange.rpc_method} {name}".rstrip()
    if "grant_type" in exchange.form:
        request += f"  grant_type={exchange.form['grant_type']}"
    authorization = exchange.request_headers.get("authorization")
    if authorization is not None:
        request += f"  Authorization: {shorten_authorization(authorization)}"
    lines = [request, *(f"    {parameter}" for parameter in parameters)]
    lines.append(f"  {exchange.status}{_head(exchange)}")
    lines += [
        f"      {member}: {_shown(member, exchange.response_json[member])}"
        for member in step.members
        if member in exchange.response_json
    ]
    return lines


def _head(exchange: Exchange) -> str:
    challenge = exchange.response_headers.get("www-authenticate")
    if challenge is not None:
        return f"  WWW-Authenticate: {challenge}"
    location = exchange.response_headers.get("location")
    return f"  Location: {shorten_url(location)}" if location is not None else ""


def _shown(member: str, value: Any) -> str:  # noqa: ANN401  any JSON value
    if member in ("access_token", "refresh_token"):
        return shorten_token(str(value))
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value).lower() if isinstance(value, bool) else str(value)
