"""Who may do what at this API, decided from a verified token and nothing else.

| rule                                                        | reading | orders | who can help          |
|-------------------------------------------------------------|---------|--------|-----------------------|
| the scope reaches the operation                             | read    | trade  | the user (consent)    |
| region, client type and assurance level are known           | yes     | yes    | the operator          |
| whoever acts is one of the services that may                | yes     | yes    | the operator          |
| the agent's assurance level is 2 or more                    | no      | change | the agent's developer |
| one order of an agent is worth no more than its limit       | no      | place  | the user, by himself  |

Every client type is an agent's, unless the operator trusts it. Whose an order is, is not decided here:
the store is never asked for anything but the user's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from authcore.claims import VerifiedToken, covers
from authcore.errors import InsufficientScope
from stocks.problems import (
    ACTOR_NOT_ALLOWED,
    ASSURANCE_TOO_LOW,
    CONTEXT_MISSING,
    ORDER_LIMIT_EXCEEDED,
    Problem,
)

READ: Final = "stocks/read"
TRADE: Final = "stocks/trade"
LEVEL_FOR_ORDERS: Final = 2


@dataclass(frozen=True, slots=True)
class Trader:
    """For whom an order is, and through which client it comes."""

    user: str
    client_id: str
    region: str
    is_agent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The rules, with what the operator has set."""

    allowed_actors: frozenset[str] = frozenset()
    trusted_client_types: frozenset[str] = frozenset()
    agent_order_limits: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """By currency. In a currency without a limit agents place no orders."""

    def region_of_reader(self, token: VerifiedToken) -> str:
        """Return the only region whose stocks this token may read.

        Raises:
            InsufficientScope: the token may not read stocks.
            Problem: context-missing, actor-not-allowed.
        """
        _require_scope(token, READ)
        region, _ = _require_context(token)
        self._require_actors(token)
        return region

    def owner(self, token: VerifiedToken) -> Trader:
        """Return whose orders this token may see.

        Raises:
            InsufficientScope: the token may not trade. Reading prices is not reading what somebody owns.
            Problem: context-missing, actor-not-allowed.
        """
        _require_scope(token, TRADE)
        region, _ = _require_context(token)
        if token.client_id is None:
            raise _context_missing(("client_id",))
        self._require_actors(token)
        return Trader(token.subject, token.client_id, region, self._is_agent(token))

    def trader(self, token: VerifiedToken) -> Trader:
        """Return for whom this token may place and cancel orders.

        Raises:
            InsufficientScope: the token may not trade.
            Problem: context-missing, actor-not-allowed, assurance-too-low.
        """
        trader = self.owner(token)
        _, level = _require_context(token)
        if trader.is_agent:
            self._require_go_between(token)
            if level < LEVEL_FOR_ORDERS:
                raise Problem(
                    ASSURANCE_TOO_LOW,
                    f"Orders by agents need assurance level {LEVEL_FOR_ORDERS}; this agent has {level}. "
                    "An agent that authenticates with a key of its own (private_key_jwt) reaches it",
                    {"required_level": LEVEL_FOR_ORDERS, "level": level},
                )
        return trader

    def require_within_limit(self, trader: Trader, value: Decimal, currency: str) -> None:
        """Return if this trader may place one order of that value.

        Raises:
            Problem: order-limit-exceeded.
        """
        if not trader.is_agent:
            return
        limit = self.agent_order_limits.get(currency)
        if limit is None:
            raise Problem(
                ORDER_LIMIT_EXCEEDED,
                f"Agents may place no orders in {currency}. The user can place the order without an agent",
                {"limit": "0", "currency": currency},
            )
        if value > limit:
            raise Problem(
                ORDER_LIMIT_EXCEEDED,
                f"An order by an agent may be worth {limit:f} {currency} at most; this one is worth "
                f"{value:f}. Order less, or let the user place the order without an agent",
                {"limit": f"{limit:f}", "currency": currency},
            )

    def _is_agent(self, token: VerifiedToken) -> bool:
        return token.context.client_type not in self.trusted_client_types

    def _require_actors(self, token: VerifiedToken) -> None:
        """Every link of the `act` chain must be a service that may act for users here (RFC 8693 §4.1)."""
        if not self.allowed_actors.issuperset(token.actors):
            raise Problem(
                ACTOR_NOT_ALLOWED,
                "The token names an actor that may not act for users at this API. Use the company's gateway",
            )

    def _require_go_between(self, token: VerifiedToken) -> None:
        """Where services are named that may act, an agent's order comes through one of them."""
        if self.allowed_actors and not token.actors:
            raise Problem(
                ACTOR_NOT_ALLOWED,
                "An agent cannot place or cancel orders here by itself. Use the company's gateway",
            )


def _require_scope(token: VerifiedToken, scope: str) -> None:
    required = frozenset({scope})
    if not covers(token.scope, required):
        raise InsufficientScope("The token does not reach this operation", scope=required)


def _require_context(token: VerifiedToken) -> tuple[str, int]:
    """Return region and assurance level. Level 0 is a level, not a missing one."""
    region, level = token.context.region, token.context.client_assurance_level
    missing = token.context.missing()
    if missing or region is None or level is None:
        raise _context_missing(missing)
    return region, level


def _context_missing(claims: tuple[str, ...]) -> Problem:
    return Problem(CONTEXT_MISSING, f"The token lacks: {', '.join(claims)}", {"claims": list(claims)})
