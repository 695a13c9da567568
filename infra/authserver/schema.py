"""Every table, and what is thrown away when.

Secrets are stored as SHA-256: they are 256 random bits, so that a slow hash would protect nothing more.
`client_assertions` has no index for its sweep: it would double what every request writes, and save a minute's
sweep a few milliseconds.
Times are whole seconds since the epoch.
"""

from typing import TYPE_CHECKING, Final

from authserver.settings import MAX_TOKEN_SECONDS

if TYPE_CHECKING:
    from authserver.database import Database

SCHEMA_VERSION: Final = 8
"""Changed whenever a table is: a development server does not migrate its state, it asks for a new file."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS signing_keys (
    kid TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    private_jwk TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER,
    published_until INTEGER
);
CREATE TABLE IF NOT EXISTS clients (
    client_id TEXT PRIMARY KEY,
    secret_hash BLOB,
    management_hash BLOB NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS client_assertions (
    assertion_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS browser_sessions (
    session_hash BLOB PRIMARY KEY,
    email TEXT,
    authenticated_at INTEGER,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS admin_sessions (
    session_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS login_challenges (
    request_id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    code_hash BLOB NOT NULL,
    attempts_left INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS login_failures (
    email TEXT NOT NULL,
    failed_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS login_failures_by_email ON login_failures (email, failed_at);
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    code TEXT NOT NULL,
    received_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS authorization_requests (
    request_id TEXT PRIMARY KEY,
    session_hash BLOB NOT NULL,
    client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    dpop_jkt TEXT,
    state TEXT,
    prompt TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS authorization_requests_by_session ON authorization_requests (session_hash);
CREATE TABLE IF NOT EXISTS pushed_requests (
    request_hash BLOB PRIMARY KEY,
    client_id TEXT NOT NULL,
    parameters TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS authorization_codes (
    code_hash BLOB PRIMARY KEY,
    client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    email TEXT NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    dpop_jkt TEXT,
    expires_at INTEGER NOT NULL,
    delegation_id TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consents (
    email TEXT NOT NULL,
    client_id TEXT NOT NULL,
    audience TEXT NOT NULL,
    scope TEXT NOT NULL,
    given_at INTEGER NOT NULL,
    PRIMARY KEY (email, client_id, audience)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delegations (
    delegation_id TEXT PRIMARY KEY,
    email TEXT,
    client_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    purpose TEXT NOT NULL,
    client_type TEXT NOT NULL,
    assurance_level INTEGER NOT NULL,
    may_act TEXT,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_because TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delegations_by_user ON delegations (email, created_at);
CREATE TABLE IF NOT EXISTS delegation_uses (
    delegation_id TEXT PRIMARY KEY,
    used_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS access_tokens (
    token_hash BLOB PRIMARY KEY,
    token_id TEXT NOT NULL,
    delegation_id TEXT NOT NULL REFERENCES delegations (delegation_id),
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    dpop_jkt TEXT,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS access_tokens_by_delegation ON access_tokens (delegation_id);
CREATE TABLE IF NOT EXISTS refresh_tokens (
    token_hash BLOB PRIMARY KEY,
    delegation_id TEXT NOT NULL REFERENCES delegations (delegation_id),
    dpop_jkt TEXT,
    expires_at INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS announcements (
    event_id TEXT PRIMARY KEY,
    receiver TEXT NOT NULL,
    delegation_id TEXT NOT NULL,
    initiator TEXT NOT NULL,
    reason TEXT NOT NULL,
    happened_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS announcements_by_receiver ON announcements (receiver, happened_at);
"""

_DAY: Final = 24 * 3600

_SWEEPS: Final = (
    ("DELETE FROM client_assertions WHERE expires_at < ?", 0),
    ("DELETE FROM browser_sessions WHERE expires_at < ?", 0),
    ("DELETE FROM admin_sessions WHERE expires_at < ?", 0),
    ("DELETE FROM login_challenges WHERE expires_at < ?", 0),
    ("DELETE FROM login_failures WHERE failed_at < ?", 3600),
    ("DELETE FROM mails WHERE received_at < ?", _DAY),
    ("DELETE FROM pushed_requests WHERE expires_at < ?", 0),
    ("DELETE FROM authorization_requests WHERE expires_at < ?", 0),
    # A used code is kept as long as what it issued, so that its replay still revokes that.
    ("DELETE FROM authorization_codes WHERE expires_at < ?", MAX_TOKEN_SECONDS),
    # By then every token that such an announcement speaks of has expired.
    ("DELETE FROM announcements WHERE happened_at < ?", MAX_TOKEN_SECONDS),
    ("DELETE FROM signing_keys WHERE published_until < ?", 0),
    ("DELETE FROM refresh_tokens WHERE expires_at < ?", 0),
    ("DELETE FROM access_tokens WHERE expires_at < ?", 0),
    ("DELETE FROM delegations WHERE email IS NULL AND created_at < ?", MAX_TOKEN_SECONDS),
)


async def sweep(database: "Database", now: int) -> None:
    """Throw away what can no longer matter. What users allowed stays: it is their record."""
    for statement, kept_seconds in _SWEEPS:
        # On the thread: under load there is much to delete.
        async with database.transaction() as transaction:
            await transaction.run(statement, now - kept_seconds)
