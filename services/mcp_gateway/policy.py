"""Who may use which tool, resource and prompt, and what has to happen first. Data and pure functions: no I/O.

The tables are the file to edit. What has no line in them does not exist: it is neither listed nor answered.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from authcore.claims import VerifiedToken, covers

READ: Final = "stocks/read"
TRADE: Final = "stocks/trade"


class Risk(StrEnum):
    """What a call can do to the user, and so who has to agree to it each time (docs/adr/0034)."""

    LOW = "low"
    """Reads. The token is agreement enough."""
    MEDIUM = "medium"
    """Changes something and commits the user to nothing new. They are asked in their client."""
    HIGH = "high"
    """Commits the user. They are asked on our own page, where no client can answer for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What it takes to use one tool, resource or prompt."""

    scope: frozenset[str]
    assurance_level: int = 0
    """The least `client_assurance_level`. Zero asks for none: the API may."""
    client_types: frozenset[str] | None = None
    """The `client_type` values that may; `None` asks for none."""
    risk: Risk = Risk.LOW


TOOL_RULES: Final[dict[str, Rule]] = {
    "fetch-stock-prices": Rule(scope=frozenset({READ})),
    "get-stock-price": Rule(scope=frozenset({READ})),
    "get-price-history": Rule(scope=frozenset({READ})),
    "place-order": Rule(scope=frozenset({TRADE}), assurance_level=2, risk=Risk.HIGH),
    "list-orders": Rule(scope=frozenset({TRADE})),
    "cancel-order": Rule(scope=frozenset({TRADE}), assurance_level=2, risk=Risk.MEDIUM),
}

RESOURCE_RULES: Final[dict[str, Rule]] = {"stock://{symbol}": Rule(scope=frozenset({READ}))}
"""By URI template (RFC 6570, level 1)."""

PROMPT_RULES: Final[dict[str, Rule]] = {
    "review-stock": Rule(scope=frozenset({READ})),
    "order-with-care": Rule(scope=frozenset({READ, TRADE}), assurance_level=2),
}

INITIAL_SCOPE: Final = (READ,)
"""What an agent without a token is told to ask for: enough to begin with, nothing more."""

SCOPES_SUPPORTED: Final = tuple(
    sorted(
        {
            scope
            for table in (TOOL_RULES, RESOURCE_RULES, PROMPT_RULES)
            for rule in table.values()
            for scope in rule.scope
        }
    )
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule means for one token."""

    step_up: frozenset[str] = frozenset()
    """All scopes of the operation, when the token lacks one of them and a wider one could be had."""
    never: str = ""
    """What this client lacks and no token of it will have; for people and models to read."""

    @property
    def allowed(self) -> bool:
        """Whether the token may."""
        return not self.step_up and not self.never


def verdict(rule: Rule, token: VerifiedToken) -> Verdict:
    """Return what the rule means for the token.

    Level and type of a client do not change with another token: where one of them is missing, asking the
    user for more scopes would lead nowhere, so that is never a step-up (docs/adr/0033).
    """
    context = token.context
    if rule.client_types is not None and context.client_type not in rule.client_types:
        kinds = ", ".join(sorted(rule.client_types))
        return Verdict(never=f"it is for clients of type {kinds}, and this client is not one")
    if (context.client_assurance_level or 0) < rule.assurance_level:
        return Verdict(
            never=f"it takes a client of assurance level {rule.assurance_level} or higher: "
            "one that proves itself with its own key (private_key_jwt) when it gets its token"
        )
    return Verdict() if covers(token.scope, rule.scope) else Verdict(step_up=rule.scope)


def visible(rules: Mapping[str, Rule], token: VerifiedToken) -> dict[str, frozenset[str]]:
    """Return what a list may hold, in alphabetical order, each with the scopes still to be asked for.

    None are needed for what the token may use now. What this client can never use is left out.
    """
    verdicts = {name: verdict(rules[name], token) for name in sorted(rules)}
    return {name: found.step_up for name, found in verdicts.items() if not found.never}


def resource_rule(uri: str) -> Rule | None:
    """Return the rule of the template that the whole URI matches."""
    return next(
        (rule for template, rule in RESOURCE_RULES.items() if _expression(template).fullmatch(uri)), None
    )


def required_scope(message: Mapping[str, Any], token: VerifiedToken) -> frozenset[str]:
    """Return all scopes that the operation of a JSON-RPC message needs, none if more would not help.

    The body decides, never a header. What has no rule needs none here: to the server it does not exist.
    """
    rules = _rules_of(message)
    if any(verdict(rule, token).never for rule in rules):
        return frozenset()
    return frozenset(scope for rule in rules for scope in rule.scope)


def _rules_of(message: Mapping[str, Any]) -> list[Rule]:
    params = _members(message.get("params"))
    found: list[Rule | None]
    match message.get("method"):
        case "tools/call":
            found = [_named(TOOL_RULES, params.get("name"))]
        case "prompts/get":
            found = [_named(PROMPT_RULES, params.get("name"))]
        case "resources/read" | "resources/subscribe":
            found = [_of_resource(params.get("uri"))]
        case "subscriptions/listen":
            wanted = _members(params.get("notifications")).get("resourceSubscriptions")
            found = [_of_resource(uri) for uri in cast("list[object]", wanted)] if _is_list(wanted) else []
        case _:
            found = []
    return [rule for rule in found if rule is not None]


def _named(rules: Mapping[str, Rule], name: object) -> Rule | None:
    return rules.get(name) if isinstance(name, str) else None


def _of_resource(uri: object) -> Rule | None:
    return resource_rule(uri) if isinstance(uri, str) else None


def _members(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _expression(template: str) -> re.Pattern[str]:
    literals = re.split(r"\{\w+\}", template)
    return re.compile("[^/?#]+".join(re.escape(literal) for literal in literals))
