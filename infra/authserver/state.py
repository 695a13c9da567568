"""What the application's lifespan gives every request."""

from dataclasses import dataclass
from typing import TypedDict, cast

from starlette.requests import Request

from authcore.clock import Clock
from authcore.dpop import DPoPProofs, Nonces
from authserver.access_tokens import AccessTokens
from authserver.active_tokens import ActiveTokens
from authserver.admin_sessions import AdminSessions
from authserver.agents import Agents
from authserver.authorization_codes import AuthorizationCodes
from authserver.authorization_requests import AuthorizationRequests
from authserver.client_auth import ClientAuthenticator
from authserver.client_directory import ClientDirectory
from authserver.consents import Consents
from authserver.counters import Counters
from authserver.database import Database
from authserver.delegations import Delegations
from authserver.endpoints import Endpoints
from authserver.history import History
from authserver.identity_assertions import IdentityAssertions
from authserver.inbox import Inbox
from authserver.keys import SigningKeys
from authserver.mailer import Mailer
from authserver.one_time_passwords import OneTimePasswords
from authserver.pages import Pages
from authserver.policy import Policy
from authserver.pushed_requests import PushedRequests
from authserver.rate_limits import RateLimit
from authserver.refresh_tokens import RefreshTokens
from authserver.registered_clients import RegisteredClients
from authserver.sessions import Sessions
from authserver.settings import Settings
from authserver.users import Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The parts of a running server."""

    settings: Settings
    where: Endpoints
    policy: Policy
    now: Clock
    database: Database
    keys: SigningKeys
    users: Users
    clients: ClientDirectory
    registered_clients: RegisteredClients
    client_auth: ClientAuthenticator
    registration_limit: RateLimit
    login_limit: RateLimit
    dpop: DPoPProofs
    dpop_nonces: Nonces | None
    """What proofs must hold, if anything."""
    identity_assertions: IdentityAssertions | None
    sessions: Sessions
    admin_sessions: AdminSessions
    one_time_passwords: OneTimePasswords
    inbox: Inbox
    mailer: Mailer
    consents: Consents
    requests: AuthorizationRequests
    pushed_requests: PushedRequests
    codes: AuthorizationCodes
    delegations: Delegations
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    active_tokens: ActiveTokens
    agents: Agents
    history: History
    pages: Pages
    counters: Counters

    def lifetime_seconds(self, policy_seconds: int) -> int:
        """Return how long a token lives: what policy says, unless this server was told otherwise."""
        return self.settings.access_token_lifetime_seconds or policy_seconds

    def display_name(self, audience: str) -> str:
        """Return what people call an audience."""
        return self.settings.display_names.get(audience, audience)


class State(TypedDict):
    """The members of a request's state."""

    server: Server


def server_of(request: Request) -> Server:
    """Return the server that a request came to."""
    return cast(Server, request.state.server)
