"""`GET /stocks`, `GET /stocks/{id}` and `GET /stocks/{id}/history`."""

import math
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request

from stocks import problems
from stocks.access import Region, state_of
from stocks.catalogue import Stock, find, listed_in
from stocks.problems import Problem, described
from stocks.quotes import Period
from stocks.wire import Instant, PageSize, Position, PriceHistory, QuoteDocument, StockId, StockPrice

TOKEN_PROBLEMS: Final = (
    problems.INVALID_REQUEST,
    problems.UNAUTHORIZED,
    problems.INVALID_TOKEN,
    problems.INSUFFICIENT_SCOPE,
    problems.CONTEXT_MISSING,
    problems.ACTOR_NOT_ALLOWED,
    problems.TEMPORARILY_UNAVAILABLE,
)

router = APIRouter(tags=["stocks"], responses=described(*TOKEN_PROBLEMS))

_ONE: Final = described(problems.UNKNOWN_STOCK, problems.INVALID_INPUT)

StockPath = Annotated[StockId, Path(description="the stock's symbol", examples=["COM1"])]


@router.get("/stocks", summary="Prices of the stocks of the caller's region")
async def list_stocks(request: Request, region: Region) -> list[StockPrice]:
    """Return every stock of the token's region, an empty list where the region lists none."""
    book = state_of(request)["price_book"]
    return [StockPrice.of(stock, book.price(stock)) for stock in listed_in(region)]


@router.get("/stocks/{stock_id}", summary="Price of one stock", responses=_ONE)
async def get_stock(request: Request, region: Region, stock_id: StockPath) -> StockPrice:
    """Return one stock of the token's region; any other is not found."""
    stock = known_stock(stock_id, region)
    return StockPrice.of(stock, state_of(request)["price_book"].price(stock))


@router.get("/stocks/{stock_id}/history", summary="What is known of one stock's prices", responses=_ONE)
async def get_history(
    request: Request,
    region: Region,
    stock_id: StockPath,
    start: Annotated[Instant | None, Query(alias="from", description="no quote before this time")] = None,
    end: Annotated[Instant | None, Query(alias="to", description="no quote after this time")] = None,
    limit: Annotated[PageSize, Query(description="quotes on a page")] = 20,
    cursor: Annotated[Position | None, Query(description="`next_cursor` of the page before")] = None,
) -> PriceHistory:
    """Return the recorded quotes of one stock of the token's region, the latest first."""
    stock = known_stock(stock_id, region)
    period = Period(
        None if start is None else math.ceil(start.timestamp()), None if end is None else int(end.timestamp())
    )
    book = state_of(request)["price_book"]
    # One more than is shown tells whether there is another page.
    found = await book.history(stock, period, before=cursor, limit=limit + 1)
    shown = found[:limit]
    return PriceHistory(
        stock_id=stock.id,
        currency=stock.currency,
        quotes=[QuoteDocument.of(recorded) for recorded in shown],
        next_cursor=shown[-1].position if len(found) > limit else None,
    )


def known_stock(stock_id: str, region: str) -> Stock:
    """Return a stock of the region.

    Raises:
        Problem: unknown-stock, in the same words whether it is another region's or nobody's.
    """
    stock = find(stock_id, region)
    if stock is None:
        raise Problem(problems.UNKNOWN_STOCK, "Your region lists no such stock. GET /stocks has all it lists")
    return stock
