"""The thread for everything that may take a while or have to wait: transactions, lists, checkpoints."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

Value = str | int | bytes | None
Row = sqlite3.Row

T = TypeVar("T")


class Transaction:
    """Statements that take effect together."""

    def __init__(self, thread: "StateThread") -> None:
        self._thread = thread

    async def run(self, sql: str, *values: Value) -> list[Row]:
        """Run one statement and return its rows."""
        return await self._thread.run(lambda connection: connection.execute(sql, values).fetchall())

    async def run_for_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement with the values of each row."""
        await self._thread.run(lambda connection: connection.executemany(sql, rows))


class StateThread:
    """A thread and its connection, for one user at a time."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread
        self._in_use = asyncio.Lock()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something on the thread, also within the transaction that somebody has begun there."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._connection)

    async def run_alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something on the thread while nobody has a transaction there."""
        async with self._in_use:
            return await self.run(work)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Commit what is done inside, or nothing of it if an exception leaves the block."""
        async with self._in_use:
            transaction = Transaction(self)
            try:
                await transaction.run("BEGIN IMMEDIATE")
                yield transaction
                await transaction.run("COMMIT")
            except BaseException:
                # Also when cancelled while beginning or committing, and however often: nothing may stay open
                # for the next. Who is cancelled cannot wait, nor need they: the thread has an order.
                self._thread.submit(_roll_back, self._connection)
                raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
