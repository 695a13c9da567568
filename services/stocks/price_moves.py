"""Where prices come from: a seeded random walk, or quotes that were recorded.

A source knows which moves are due after so many seconds; when to ask is the ticker's business.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random  # noqa: TID251  seeded: prices that nobody needs to be unable to guess
from typing import Final, Protocol

from stocks.catalogue import STOCKS

CENT: Final = Decimal("0.01")
STEP: Final = 0.002
"""Standard deviation of one step of the walk, as a part of the price."""

PAUSE_SECONDS: Final = 0.2
"""A walk that was not asked for longer has paused."""

_SYMBOLS: Final = frozenset(stock.id for stock in STOCKS)


@dataclass(frozen=True, slots=True)
class Move:
    """A stock's next price."""

    symbol: str
    price: Decimal


class Source(Protocol):
    """Moves in the order in which they happen."""

    def due(self, elapsed_seconds: float, prices: Mapping[str, Decimal]) -> list[Move]:
        """Return the moves up to this moment that were not returned before, given the prices so far."""
        ...

    def next_at(self) -> float | None:
        """Return when the next move is due, in seconds since the start; `None` if there is none."""
        ...


class RandomWalk:
    """Each stock in turn goes up or down a little, and never to nothing."""

    def __init__(self, *, updates_per_second: float, seed: int) -> None:
        self._rate = updates_per_second
        self._random = Random(seed)  # noqa: S311  not a secret
        self._done = 0

    def due(self, elapsed_seconds: float, prices: Mapping[str, Decimal]) -> list[Move]:
        """Return the steps of the walk. After a pause it goes on; what would have been is not made up for."""
        count = max(math.floor(elapsed_seconds * self._rate) - self._done, 0)
        symbols, now = sorted(prices), dict(prices)
        moves: list[Move] = []
        for number in range(self._done, self._done + min(count, math.ceil(self._rate * PAUSE_SECONDS))):
            symbol = symbols[number % len(symbols)]
            step = Decimal(repr(math.exp(self._random.gauss(0.0, STEP))))
            now[symbol] = max((now[symbol] * step).quantize(CENT), CENT)
            moves.append(Move(symbol, now[symbol]))
        self._done += count
        return moves

    def next_at(self) -> float | None:
        """Return when the next step is due."""
        return (self._done + 1) / self._rate


class Replay:
    """Recorded quotes, at the pace they were recorded in or a multiple of it."""

    def __init__(self, quotes: Sequence[tuple[float, Move]], *, speed: float) -> None:
        """Take the quotes with their seconds since the first, in order."""
        self._quotes = [(seconds / speed, move) for seconds, move in quotes]
        self._position = 0

    def due(self, elapsed_seconds: float, prices: Mapping[str, Decimal]) -> list[Move]:  # noqa: ARG002  a walk needs them
        """Return the quotes up to this moment."""
        begin = self._position
        while self._position < len(self._quotes) and self._quotes[self._position][0] <= elapsed_seconds:
            self._position += 1
        return [move for _, move in self._quotes[begin : self._position]]

    def next_at(self) -> float | None:
        """Return the moment of the next quote."""
        return self._quotes[self._position][0] if self._position < len(self._quotes) else None


def read_quotes(path: Path) -> list[tuple[float, Move]]:
    """Return the quotes of a CSV file with the columns `time` (ISO 8601 or Unix seconds), `symbol`, `price`.

    Raises:
        ValueError: a line is wrong, is earlier than the one before, or names an unknown stock; says which.
        OSError: the file cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames is None or not {"time", "symbol", "price"} <= set(rows.fieldnames):
            raise ValueError(f"{path}: the first line must name the columns time, symbol and price")
        quotes = list(_quotes(path, rows))
    if not quotes:
        raise ValueError(f"{path}: there are no quotes")
    first = quotes[0][0]
    return [(moment - first, move) for moment, move in quotes]


def _quotes(path: Path, rows: "csv.DictReader[str]") -> Iterator[tuple[float, Move]]:
    before = float("-inf")
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        moment, move = _moment(row["time"] or "", where), _move(row["symbol"], row["price"] or "", where)
        if moment < before:
            raise ValueError(f"{where}: is earlier than the line before")
        before = moment
        yield moment, move


def _moment(text: str, where: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{where}: {text!r} is neither an ISO 8601 time nor Unix seconds") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _move(symbol: str, price: str, where: str) -> Move:
    if symbol not in _SYMBOLS:
        raise ValueError(f"{where}: there is no stock {symbol!r}; there are {', '.join(sorted(_SYMBOLS))}")
    try:
        value = Decimal(price)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise ValueError(f"{where}: {price!r} is not a price")
    return Move(symbol, value)
