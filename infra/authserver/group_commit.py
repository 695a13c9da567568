"""Single statements that arrive together are committed together.

A commit costs several times what such a statement costs, and handing either to another thread costs more than
both. So they run where they are asked for, all that the event loop collects in one round at once. That takes
microseconds, as the disk is not waited for (`database.py`); if somebody else is writing, they are handed to
the thread, which can wait.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from authserver.state_thread import Row, StateThread, Value


@dataclass(frozen=True, slots=True)
class _Waiting:
    sql: str
    values: Sequence[Value]
    outcome: asyncio.Future[list[Row]]

    def settle(self, outcome: list[Row] | Exception) -> None:
        """Tell who waits, unless they were cancelled: then the statement was run for nobody."""
        if self.outcome.done():
            return
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class GroupCommit:
    """Runs writing statements. None of them is answered before it is committed."""

    def __init__(self, connection: sqlite3.Connection, thread: StateThread) -> None:
        self._connection = connection
        self._thread = thread
        self._waiting: list[_Waiting] = []
        self._handed_over = set[asyncio.Task[None]]()

    async def run(self, sql: str, values: Sequence[Value]) -> list[Row]:
        """Run a statement and return its rows once it is committed."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(sql, values, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            loop.call_soon(self._commit)
        return await waiting.outcome

    async def finish(self) -> None:
        """Return once nothing is waiting any more."""
        while self._waiting or self._handed_over:
            await asyncio.wait([*(each.outcome for each in self._waiting), *self._handed_over])

    def _commit(self) -> None:
        group, self._waiting = self._waiting, []
        outcomes = _outcomes(self._connection, group)
        if is_busy(outcomes[0]):
            later = asyncio.create_task(self._commit_on_thread(group))
            self._handed_over.add(later)
            later.add_done_callback(self._handed_over.discard)
            return
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.settle(outcome)

    async def _commit_on_thread(self, group: list[_Waiting]) -> None:
        outcomes = await self._thread.run_alone(lambda connection: _outcomes(connection, group))
        for waiting, outcome in zip(group, outcomes, strict=True):
            waiting.settle(outcome)


def _outcomes(connection: sqlite3.Connection, group: Sequence[_Waiting]) -> Sequence[list[Row] | Exception]:
    """Run statements in one transaction, and return what came of each once it is committed.

    A statement that fails takes nothing else along: SQLite undoes that statement alone. Where the whole
    transaction fails (the disk is full, somebody else is writing) that is what came of every statement.
    """
    try:
        return _run_together(connection, group)
    except Exception as error:  # noqa: BLE001  raised by everybody whose statement it was
        return [error] * len(group)


def _run_together(
    connection: sqlite3.Connection, group: Sequence[_Waiting]
) -> Sequence[list[Row] | Exception]:
    outcomes: list[list[Row] | Exception] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for waiting in group:
            try:
                outcomes.append(connection.execute(waiting.sql, waiting.values).fetchall())
            except Exception as error:
                if not connection.in_transaction:
                    raise
                outcomes.append(error)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


def is_busy(outcome: object) -> bool:
    """Tell whether it is SQLite's word for somebody else having the file, for whatever reason."""
    # The lowest byte is the error, the others say more about it.
    return (
        isinstance(outcome, sqlite3.OperationalError)
        and outcome.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )
