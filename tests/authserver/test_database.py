"""The state file: what is answered is committed, whoever writes at the same time."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from authserver.database import Database, open_database
from authserver.state_thread import StateThread
from tests.authserver.server import AuthServer, serving

INSERT = "INSERT INTO secrets (name, value) VALUES (?, ?) RETURNING name"
NAMES = "SELECT name FROM secrets ORDER BY name"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    async with open_database(tmp_path / "state.sqlite") as opened:
        yield opened


@asynccontextmanager
async def somebody_writing(state: Path) -> AsyncGenerator[sqlite3.Connection]:
    """Another process in the middle of a transaction."""
    with closing(sqlite3.connect(state, isolation_level=None, check_same_thread=False)) as other:
        # Beside the loop, which may have to finish a transaction of its own before.
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        yield other


async def names(database: Database) -> list[str]:
    return [row["name"] for row in await database.all(NAMES)]


async def test_statements_that_arrive_together_each_get_their_own_rows(database: Database) -> None:
    answers = await asyncio.gather(*(database.write(INSERT, f"n{number}", b"") for number in range(20)))
    assert [rows[0]["name"] for rows in answers] == [f"n{number}" for number in range(20)]
    assert len(await names(database)) == 20


async def test_a_statement_that_fails_takes_no_other_along(database: Database) -> None:
    outcomes = await asyncio.gather(
        database.write(INSERT, "a", b""),
        database.write(INSERT, "a", b""),
        database.write(INSERT, "c", 2**70),
        database.write(INSERT, "b", b""),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [list, sqlite3.IntegrityError, OverflowError, list]
    assert await names(database) == ["a", "b"]


async def test_a_caller_that_goes_away_takes_no_other_along(database: Database) -> None:
    leaving = asyncio.create_task(database.write(INSERT, "a", b""))
    staying = asyncio.create_task(database.write(INSERT, "b", b""))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying)[0]["name"] == "b"
    assert leaving.cancelled() or leaving.cancelling()


async def test_nothing_is_read_that_is_not_committed(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.run(INSERT, "a", b"")
        assert await database.first(NAMES) is None
        listing = asyncio.create_task(database.all(NAMES))
        await asyncio.sleep(0)
        await transaction.run("DELETE FROM secrets")
    assert await listing == []


async def test_a_statement_waits_for_a_transaction_of_ours(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.run(INSERT, "a", b"")
        writing = asyncio.create_task(database.write(INSERT, "b", b""))
        done, _ = await asyncio.wait({writing}, timeout=0.05)
        assert not done
    assert (await writing)[0]["name"] == "b"
    assert await names(database) == ["a", "b"]


async def test_everything_that_was_asked_for_is_written_before_the_file_is_closed(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite") as database:
        writing = asyncio.create_task(database.write(INSERT, "a", b""))
        await asyncio.sleep(0)
    assert await writing
    async with open_database(tmp_path / "state.sqlite") as database:
        assert await names(database) == ["a"]


@pytest.mark.attack("RFC 7521 §8.2", "use one assertion in many requests at the same moment")
async def test_of_the_same_assertion_many_times_at_once_exactly_one_is_accepted(server: AuthServer) -> None:
    form = {"token": "x", **server.assertion()}
    responses = await asyncio.gather(*(server.post("introspect", dict(form)) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [200, *[401] * 9]


async def test_no_answer_is_sent_before_its_assertion_is_recorded(server: AuthServer) -> None:
    form = {"token": "x", **server.assertion()}
    async with somebody_writing(server.state_files()[0]) as other:
        asking = asyncio.create_task(server.post("introspect", dict(form)))
        done, _ = await asyncio.wait({asking}, timeout=0.3)
        assert not done
        # Nor does anybody else have to wait who has nothing to write.
        async with asyncio.timeout(2):
            assert (await server.http.get(f"{server.issuer}/jwks")).status_code == 200
        other.execute("COMMIT")
    assert (await asking).status_code == 200
    assert (await server.post("introspect", dict(form))).status_code == 401


async def test_a_crash_forgets_no_assertion_and_no_revocation_that_was_answered(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with serving(tmp_path) as server:
        token = await server.token()
        assertion = server.assertion()
        assert (await server.post("introspect", {"token": token, **assertion})).json()["active"]
        exchanged = (await server.exchange(token)).json()["access_token"]
        assert (await server.post("revoke", {"token": exchanged, **server.assertion()})).status_code == 200
        # As they are on the disk at this moment, with whatever is still in the log only.
        for file in server.state_files():
            if not file.name.endswith("-shm"):
                shutil.copy(file, crashed)
        broker_key = server.broker_key
    async with serving(crashed, broker_key=broker_key) as server:
        assert (await server.post("introspect", {"token": token, **assertion})).status_code == 401
        for each in (token, exchanged):
            assert (await server.introspect(each)).json() == {"active": False}


async def test_what_does_not_fit_on_the_disk_is_refused_and_takes_no_other_along(database: Database) -> None:
    await database.write("PRAGMA max_page_count = 1")
    outcomes = await asyncio.gather(
        database.write(INSERT, "a", b""), database.write(INSERT, "b", bytes(10**6)), return_exceptions=True
    )
    assert isinstance(outcomes[1], sqlite3.OperationalError)
    assert ["a"] * isinstance(outcomes[0], list) == await names(database)
    await database.write("PRAGMA max_page_count = 1000000")
    assert await database.write(INSERT, "c", b"")


async def test_an_exception_within_a_transaction_leaves_nothing_of_it(database: Database) -> None:
    async def change() -> None:
        async with database.transaction() as transaction:
            await transaction.run(INSERT, "a", b"")
            await transaction.run(INSERT, "a", b"")

    with pytest.raises(sqlite3.IntegrityError):
        await change()
    assert await database.write(INSERT, "b", b"")
    assert await names(database) == ["b"]


async def test_whoever_is_cancelled_again_and_again_leaves_no_transaction_open(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    async with open_database(state):
        pass
    connection = sqlite3.connect(state, isolation_level=None, check_same_thread=False)
    with ThreadPoolExecutor(1) as executor, closing(connection):
        thread = StateThread(connection, executor)
        begun, free = asyncio.Event(), threading.Event()

        async def change() -> None:
            async with thread.transaction() as transaction:
                await transaction.run(INSERT, "a", b"")
                begun.set()
                await asyncio.Event().wait()

        changing = asyncio.create_task(change())
        await begun.wait()
        # Whatever is asked of the thread from here on stays in its queue.
        executor.submit(free.wait)
        while not changing.done():
            changing.cancel()
            await asyncio.sleep(0)
        free.set()
        async with thread.transaction() as transaction:
            await transaction.run(INSERT, "b", b"")
            assert [row[0] for row in await transaction.run(NAMES)] == ["b"]


async def test_a_file_can_be_opened_while_others_close_it(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    async with open_database(state):
        pass
    ending = threading.Event()

    def come_and_go() -> None:
        while not ending.is_set():
            with closing(sqlite3.connect(state, timeout=10)) as other:
                other.execute("PRAGMA user_version").fetchall()

    coming_and_going = [asyncio.create_task(asyncio.to_thread(come_and_go)) for _ in range(2)]
    try:
        for number in range(60):
            async with open_database(state) as database:
                assert await database.write(INSERT, f"n{number}", b"")
    finally:
        ending.set()
        await asyncio.gather(*coming_and_going)


@pytest.mark.parametrize("accept", ["application/json", "text/html,*/*;q=0.8"])
async def test_who_cannot_be_written_down_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    monkeypatch.setattr("authserver.database.BUSY_TIMEOUT_SECONDS", 0.05)
    async with serving(tmp_path) as server, somebody_writing(server.state_files()[0]):
        response = await server.post("introspect", {"token": "x", **server.assertion()}, accept=accept)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith(accept.split(",")[0])
    assert "sqlite" not in response.text
    assert "locked" not in response.text


async def test_a_revocation_that_could_not_be_committed_is_not_answered_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as before:
        token = await before.token()
        broker_key = before.broker_key
    monkeypatch.setattr("authserver.database.BUSY_TIMEOUT_SECONDS", 0.05)
    async with serving(tmp_path, broker_key=broker_key) as server:
        exchanged = (await server.exchange(token)).json()["access_token"]
        form = {"token": exchanged, **server.assertion()}
        async with somebody_writing(server.state_files()[0]):
            assert (await server.post("revoke", dict(form))).status_code == 503
        assert (await server.introspect(token)).json()["active"]
        assert (await server.post("revoke", dict(form))).status_code == 200
        assert (await server.introspect(token)).json() == {"active": False}
