"""A state file in which users have let agents in, so that the measured server has tokens to look up."""

from pathlib import Path
from typing import Final

from authcore.clock import system_clock
from authserver.access_tokens import AccessTokens
from authserver.database import open_database
from authserver.delegations import Delegation, Delegations
from authserver.policy import POLICY
from authserver.secret_values import new_identifier
from authserver.settings import MAX_TOKEN_SECONDS

CLIENT_ID: Final = "load"
USERS: Final = ("john.doe@demo.example", "jane.test@demo.example")


async def seeded_tokens(state: Path, count: int, *, scope: str, audience: str) -> list[str]:
    """Store so many delegations, each with one access token, and return the tokens."""
    terms = POLICY.terms(frozenset({scope}), "none")
    now, tokens = system_clock(), list[str]()
    async with open_database(state) as database, database.transaction() as transaction:
        for number in range(count):
            delegation = Delegation(
                delegation_id=new_identifier(),
                email=USERS[number % len(USERS)],
                client_id=f"agent-{number}",
                scope=frozenset({scope}),
                audience=audience,
                purpose=terms.purpose,
                client_type=terms.client_type,
                assurance_level=terms.assurance_level,
                may_act=terms.may_act,
                created_at=now,
            )
            await Delegations.add(transaction, delegation)
            tokens.append(
                await AccessTokens.issue(
                    transaction,
                    delegation,
                    now=now,
                    lifetime_seconds=MAX_TOKEN_SECONDS,
                    dpop_jkt=None,
                )
            )
    return tokens
