"""A user's agents: every client they let in, what it may do, and how to end that."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from authcore.claims import parse_scope
from authserver.consents import Consents
from authserver.database import Database
from authserver.delegations import Delegations
from authserver.event_outbox import Cause
from authserver.last_uses import LastUses
from authserver.state_thread import Row

SHOWN_DELEGATIONS: Final = 500

_BY_USER: Final = Cause(initiator="user", reason="The user withdrew what they had allowed")
_BY_ADMIN: Final = Cause(initiator="admin", reason="An administrator ended the delegation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One client as one user sees it: what it may do at one resource."""

    client_id: str
    audience: str
    scope: frozenset[str]
    since: int
    """When the oldest delegation that was not revoked began; of an ended agent, the newest one."""
    last_used_at: int | None
    live_until: int | None
    """When its last good token expires."""
    remembered: bool
    """Whether it gets a new token without asking the user."""
    revoked_at: int | None

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to withdraw."""
        return self.live_until is None and not self.remembered


class Agents:
    """Every user's agents, from their delegations and consents."""

    def __init__(
        self, database: Database, consents: Consents, delegations: Delegations, last_uses: LastUses
    ) -> None:
        self._database = database
        self._consents = consents
        self._delegations = delegations
        self._last_uses = last_uses

    async def of(self, email: str, now: int) -> list[Agent]:
        """Return a user's agents: those that can act first, then by age, the newest first."""
        await self._last_uses.store()
        delegations = await self._database.all(
            "SELECT d.client_id, d.audience, d.scope, d.created_at, d.revoked_at, u.used_at,"
            " (SELECT max(t.expires_at) FROM (SELECT delegation_id, expires_at FROM access_tokens"
            " UNION ALL SELECT delegation_id, expires_at FROM refresh_tokens) AS t"
            " WHERE t.delegation_id = d.delegation_id)"
            " AS expires_at FROM delegations AS d LEFT JOIN delegation_uses AS u USING (delegation_id)"
            " WHERE d.email = ? ORDER BY d.created_at DESC LIMIT ?",
            email,
            SHOWN_DELEGATIONS,
        )
        consents = {
            (row["client_id"], row["audience"]): row
            for row in await self._database.all("SELECT * FROM consents WHERE email = ?", email)
        }
        groups: dict[tuple[str, str], list[Row]] = {key: [] for key in consents}
        for row in delegations:
            groups.setdefault((row["client_id"], row["audience"]), []).append(row)
        agents = [_agent(key, group, consents.get(key), now) for key, group in groups.items()]
        return sorted(agents, key=lambda agent: (agent.ended, agent.live_until is None, -agent.since))

    async def withdraw(self, email: str, client_id: str, audience: str, now: int) -> int:
        """End all that this user let this client do there; return how many delegations that were.

        The consent goes first: what the client starts meanwhile has to ask.
        """
        await self._consents.withdraw(email, client_id, audience)
        rows = await self._database.all(
            "SELECT delegation_id FROM delegations"
            " WHERE email = ? AND client_id = ? AND audience = ? AND revoked_at IS NULL",
            email,
            client_id,
            audience,
        )
        ended = [await self._delegations.revoke(row["delegation_id"], now, _BY_USER) for row in rows]
        return sum(ended)

    async def end(self, delegation_id: str, now: int) -> bool:
        """End one delegation, and the consent that would give the client another one unasked.

        Return false if it is unknown or had ended before.
        """
        delegation = await self._delegations.find(delegation_id)
        if delegation is None:
            return False
        if delegation.email is not None:
            await self._consents.withdraw(delegation.email, delegation.client_id, delegation.audience)
        return await self._delegations.revoke(delegation_id, now, _BY_ADMIN)


def _agent(key: tuple[str, str], delegations: list[Row], consent: Row | None, now: int) -> Agent:
    """Return what one consent and the delegations to that client, the newest first, amount to."""
    alive = [row for row in delegations if row["revoked_at"] is None]
    agreed = [] if consent is None else [consent]
    scopes = [parse_scope(row["scope"]) for row in [*agreed, *(alive or delegations[:1])]]
    began = [row["created_at"] for row in alive or delegations[:1]] or [row["given_at"] for row in agreed]
    return Agent(
        client_id=key[0],
        audience=key[1],
        scope=frozenset[str]().union(*scopes),
        since=min(began),
        last_used_at=_latest(row["used_at"] for row in delegations),
        live_until=_latest(row["expires_at"] for row in alive if (row["expires_at"] or 0) > now),
        remembered=consent is not None,
        revoked_at=_latest(row["revoked_at"] for row in delegations),
    )


def _latest(times: Iterable[int | None]) -> int | None:
    return max((time for time in times if time is not None), default=None)
