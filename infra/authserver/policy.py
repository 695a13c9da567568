"""What a scope means here: for how long, for what, how sure of the client, and in which words.

This is the file to edit. It holds for every agent alike, whether registered dynamically, known by its
metadata document or configured; nothing in it can be changed by a request. Two rules are not here because no
scope is exempt from them: PKCE is required, and an agent's token is for the MCP resource alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Final

from authcore.oauth2_types import GRANT_AUTHORIZATION_CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePolicy:
    """One scope."""

    description: str
    """What the agent may do, as the consent page tells the user."""
    purpose: str
    """The `purpose` claim."""
    access_token_seconds: int = 900
    client_type: str = "mcp"
    """The `client_type` claim. Not shown to the user."""
    assurance_level: int = 1
    """The `client_assurance_level` claim of a client that anybody could have registered. Not shown."""
    key_assurance_level: int = 2
    """The same for a client that proves itself with its own key (`private_key_jwt`)."""
    consent_required: bool = True
    without_user: bool = False
    """Whether a configured client may have it for itself (`client_credentials`), for no user."""
    may_act: frozenset[str] | None = None
    """The client ids of services that may exchange tokens with this scope; absent: all that may exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the scopes of one delegation amount to together."""

    access_token_seconds: int
    purpose: str
    client_type: str
    assurance_level: int
    consent_required: bool
    may_act: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All scopes, and which of them a request without `scope` asks for."""

    scopes: Mapping[str, ScopePolicy]
    default_scope: frozenset[str]
    agent_grant_types: frozenset[str] = frozenset({GRANT_AUTHORIZATION_CODE})
    """What a client may register for. Refresh tokens are not among them, so none are issued."""
    private_use_schemes: frozenset[str] = frozenset()
    """Schemes without a domain name in them, such as `cursor`, that clients may have redirect URIs with. RFC
    8252 §7.1 asks for reverse domain notation: any program of the user's machine can claim a short scheme."""
    refresh_token_seconds: int = 24 * 3600
    """How long a delegation can be refreshed, all in all, where `agent_grant_types` has `refresh_token`."""

    def terms(self, scope: frozenset[str], auth_method: str) -> Terms:
        """Return what holds for these scopes, the strictest of each.

        Args:
            scope: at least one, each of them known.
            auth_method: how the client authenticates; its words about itself count for nothing.
        """
        policies = [self.scopes[name] for name in sorted(scope)]
        proven = auth_method == "private_key_jwt"
        return Terms(
            access_token_seconds=min(policy.access_token_seconds for policy in policies),
            purpose=" ".join(dict.fromkeys(policy.purpose for policy in policies)),
            client_type=policies[0].client_type,
            assurance_level=min(
                policy.key_assurance_level if proven else policy.assurance_level for policy in policies
            ),
            consent_required=any(policy.consent_required for policy in policies),
            may_act=_common([policy.may_act for policy in policies if policy.may_act is not None]),
        )


def _common(actors: list[frozenset[str]]) -> frozenset[str] | None:
    return reduce(frozenset[str].__and__, actors) if actors else None


STOCKS_READ: Final = "stocks/read"
STOCKS_TRADE: Final = "stocks/trade"
STOCKS: Final = "stocks"
"""Contains both."""
APPROVALS: Final = "approvals"
"""For the page on which users approve what their agents are about to do. No API has a use for it."""

POLICY: Final = Policy(
    scopes=MappingProxyType(
        {
            STOCKS_READ: ScopePolicy(
                description="See the current prices of the stocks of your region",
                purpose="read_stock_prices",
                without_user=True,
            ),
            STOCKS_TRADE: ScopePolicy(
                description="Prepare orders of stocks for you, and place each one that you approve",
                purpose="trade_stocks",
                access_token_seconds=300,
            ),
            APPROVALS: ScopePolicy(
                description="Know that it is you when you approve what an agent is about to do",
                purpose="approve_calls",
                access_token_seconds=300,
            ),
            STOCKS: ScopePolicy(
                description="See prices, prepare orders for you, and place each one that you approve",
                purpose="trade_stocks",
                access_token_seconds=300,
            ),
        }
    ),
    default_scope=frozenset({STOCKS_READ}),
)
