"""The one SQLite file: connection, schema and transactions.

One connection serves the process. Every write goes through one lock, so that a statement of one request never
becomes part of another's transaction; reads wait for nobody.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import aiosqlite

from authserver.schema import SCHEMA, SCHEMA_VERSION

Value = str | int | bytes | None
Row = aiosqlite.Row

_BUSY_TIMEOUT_MILLISECONDS: Final = 5000


class StateOfAnotherVersion(Exception):
    """The state file was made by another version of this server."""


class Transaction:
    """Statements that take effect together."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, *values: Value) -> list[Row]:
        """Run one statement and return its rows."""
        return list(await self._connection.execute_fetchall(sql, values))


class Database:
    """The open database."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._writing = asyncio.Lock()

    async def all(self, sql: str, *values: Value) -> list[Row]:
        """Return the rows of a query."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def first(self, sql: str, *values: Value) -> Row | None:
        """Return the first row of a query, or `None`."""
        rows = await self.all(sql, *values)
        return rows[0] if rows else None

    async def write(self, sql: str, *values: Value) -> list[Row]:
        """Run one writing statement, committed on return; return what its `RETURNING` gives."""
        async with self._writing:
            return list(await self._connection.execute_fetchall(sql, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Commit what is done inside, or nothing of it if an exception leaves the block."""
        async with self._writing:
            try:
                await self._connection.execute_fetchall("BEGIN IMMEDIATE")
                yield Transaction(self._connection)
                await self._connection.execute_fetchall("COMMIT")
            except BaseException:
                # Also when cancelled while beginning or committing: nothing may stay open for the next.
                with suppress(aiosqlite.OperationalError):
                    await self._connection.execute_fetchall("ROLLBACK")
                raise


@asynccontextmanager
async def open_database(path: Path) -> AsyncGenerator[Database]:
    """Open the file, making it and its tables where they are missing. Only its owner may read it.

    Raises:
        StateOfAnotherVersion: the file is good, but not for this version.
    """
    await asyncio.to_thread(path.touch, mode=0o600)
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        connection.row_factory = aiosqlite.Row
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        # A power failure may cost this server its latest logins; an fsync would cost every request.
        await connection.execute_fetchall("PRAGMA synchronous = NORMAL")
        await connection.execute_fetchall(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MILLISECONDS}")
        await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        await _check_version(connection, path)
        await connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        yield Database(connection)


async def _check_version(connection: aiosqlite.Connection, path: Path) -> None:
    (version,) = await connection.execute_fetchall("PRAGMA user_version")
    (tables,) = await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema")
    if tables[0] and version[0] != SCHEMA_VERSION:
        raise StateOfAnotherVersion(
            f"{path} is of another version of this server: remove it, or name another"
        )
