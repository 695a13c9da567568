"""Where prices come from."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocks.price_moves import Move, RandomWalk, Replay, read_quotes

START = {"COM1": Decimal("450.22"), "COM4": Decimal("180.75")}


def test_a_walk_with_the_same_seed_is_the_same_walk() -> None:
    one, same, other = (RandomWalk(updates_per_second=100, seed=seed) for seed in (7, 7, 8))

    moves = one.due(0.1, START)

    assert len(moves) == 10
    assert moves == same.due(0.1, START)
    assert moves != other.due(0.1, START)


def test_a_walk_goes_on_after_a_pause_and_does_not_make_up_for_it() -> None:
    walk = RandomWalk(updates_per_second=10, seed=1)

    assert len(walk.due(3600.0, START)) == 2
    assert walk.due(3600.05, START) == []
    assert len(walk.due(3600.15, START)) == 1


@given(rate=st.floats(0.5, 10_000), moments=st.lists(st.floats(0, 0.15), max_size=20))
def test_a_walk_says_when_it_is_to_be_asked_next(rate: float, moments: list[float]) -> None:
    walk, now = RandomWalk(updates_per_second=rate, seed=1), 0.0
    for pause in moments:
        now += pause
        walk.due(now, START)
        due = walk.next_at()
        assert due is not None
        assert due > now
        assert due - now <= 1 / rate + 1e-9


def test_a_walk_never_reaches_nothing() -> None:
    walk = RandomWalk(updates_per_second=1000, seed=3)

    moves = walk.due(0.2, {"COM1": Decimal("0.01")})

    assert len(moves) == 200
    assert min(move.price for move in moves) >= Decimal("0.01")


def written(directory: Path, text: str) -> Path:
    path = directory / "quotes.csv"
    path.write_text(text)
    return path


def test_quotes_are_replayed_at_the_pace_they_were_recorded_in(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "time,symbol,price\n"
        "2026-03-02T14:30:00Z,COM1,450.10\n"
        "2026-03-02T14:30:02.500Z,COM2,250.70\n"
        "2026-03-02T14:30:03+00:00,COM1,450.05\n",
    )
    replay = Replay(read_quotes(path), speed=1)

    assert replay.due(0.0, {}) == [Move("COM1", Decimal("450.10"))]
    assert replay.next_at() == 2.5
    assert replay.due(2.4, {}) == []
    assert replay.due(9.0, {}) == [Move("COM2", Decimal("250.70")), Move("COM1", Decimal("450.05"))]
    assert replay.next_at() is None


def test_quotes_are_replayed_faster_on_request(tmp_path: Path) -> None:
    path = written(tmp_path, "time,symbol,price\n1000,COM1,1\n1060,COM1,2\n")

    assert Replay(read_quotes(path), speed=60).due(1.0, {}) == [
        Move("COM1", Decimal(1)),
        Move("COM1", Decimal(2)),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the first line must name the columns"),
        ("symbol,price\nCOM1,1\n", "the first line must name the columns"),
        ("time,symbol,price\n", "there are no quotes"),
        ("time,symbol,price\n1,COM1,1\n0,COM1,1\n", "line 3: is earlier"),
        ("time,symbol,price\n1,COM9,1\n", "line 2: there is no stock 'COM9'"),
        ("time,symbol,price\n1,COM1,-1\n", "line 2: '-1' is not a price"),
        ("time,symbol,price\n1,COM1,NaN\n", "line 2: 'NaN' is not a price"),
        ("time,symbol,price\n1,COM1\n", "line 2: '' is not a price"),
        ("time,symbol,price\nnan,COM1,1\n", "line 2: 'nan' is neither"),
        ("time,symbol,price\nyesterday,COM1,1\n", "line 2: 'yesterday' is neither"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_named_with_its_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=r"quotes\.csv") as refused:
        read_quotes(written(tmp_path, text))

    assert complaint in str(refused.value)
