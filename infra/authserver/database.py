"""The one SQLite file, with two connections.

What takes SQLite a few microseconds is done at once, on the event loop's connection: finding a row by its
key, which waits for nobody (write-ahead log), and single writing statements. Everything else goes to the
connection of a thread, which may wait for others and for the disk.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Final

from authserver.group_commit import GroupCommit, is_busy
from authserver.schema import SCHEMA, SCHEMA_VERSION
from authserver.state_thread import Row, StateThread, Transaction, Value

BUSY_TIMEOUT_SECONDS: Final = 5.0


class StateOfAnotherVersion(Exception):
    """The state file was made by another version of this server."""


class Database:
    """The open database. All of it sees what is committed, and nothing else."""

    def __init__(self, connection: sqlite3.Connection, thread: StateThread) -> None:
        self._connection = connection
        self._thread = thread
        self._writing = GroupCommit(connection, thread)

    async def first(self, sql: str, *values: Value) -> Row | None:
        """Return the first row of a query that finds it by a key, or `None`."""
        try:
            rows = self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            # Another process is bringing the file in order after a crash: the thread can wait for it.
            rows = await self.all(sql, *values)
        return rows[0] if rows else None

    async def all(self, sql: str, *values: Value) -> list[Row]:
        """Return the rows of a query."""
        return await self._thread.run_alone(lambda connection: connection.execute(sql, values).fetchall())

    async def write(self, sql: str, *values: Value) -> list[Row]:
        """Run one statement that writes little, committed on return; return what its `RETURNING` gives."""
        return await self._writing.run(sql, values)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commit what is done inside, or nothing of it if an exception leaves the block."""
        return self._thread.transaction()

    async def checkpoint(self) -> None:
        """Take what was committed from the log into the file, so that the log can begin anew."""
        await self._thread.run_alone(lambda connection: connection.execute("PRAGMA wal_checkpoint(PASSIVE)"))

    async def finish(self) -> None:
        """Return once nothing is being written any more."""
        await self._writing.finish()


@asynccontextmanager
async def open_database(path: Path) -> AsyncGenerator[Database]:
    """Open the file, making it and its tables where they are missing. Only its owner may read it.

    Raises:
        StateOfAnotherVersion: the file is good, but not for this version.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="state") as executor:
        thread = StateThread(
            await asyncio.get_running_loop().run_in_executor(executor, _prepared, path), executor
        )
        try:
            with closing(_connect(path)) as connection:
                # Only checkpoints wait for the disk: the thread makes them.
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                # Not before: while another connection is being closed, the file is locked for new ones.
                connection.execute("PRAGMA busy_timeout = 0")
                database = Database(connection, thread)
                try:
                    yield database
                finally:
                    await database.finish()
        finally:
            await thread.run(sqlite3.Connection.close)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.row_factory = Row
    # What was answered survives a crash of this process. A power failure may cost this server its latest
    # moments; an fsync would cost every request.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepared(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        _check_version(connection, path)
        connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and version != SCHEMA_VERSION:
        raise StateOfAnotherVersion(
            f"{path} is of another version of this server: remove it, or name another"
        )
