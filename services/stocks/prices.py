"""`GET /stocks` and `GET /stocks/{id}`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict

from authcore.claims import VerifiedToken
from authcore.problems import problem_response
from stocks.access import PROBLEM, verified_token
from stocks.authorization import readable_region
from stocks.catalogue import Stock, find, listed_in

router = APIRouter()

Token = Annotated[VerifiedToken, Depends(verified_token)]


class StockPrice(BaseModel):
    """One stock and its price now, in units of `currency`."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    region: str
    currency: str
    price: float


def _priced(stock: Stock) -> StockPrice:
    return StockPrice(
        id=stock.id,
        name=stock.name,
        region=stock.region,
        currency=stock.currency,
        price=float(stock.price),
    )


@router.get("/stocks", summary="Prices of the stocks of the caller's region")
async def list_stocks(token: Token) -> list[StockPrice]:
    """Return every stock of the token's region, an empty list where the region lists none."""
    return [_priced(stock) for stock in listed_in(readable_region(token))]


@router.get("/stocks/{stock_id}", summary="Price of one stock", response_model=StockPrice)
async def get_stock(token: Token, stock_id: Annotated[str, Path(max_length=32)]) -> StockPrice | Response:
    """Return one stock of the token's region; any other is not found."""
    stock = find(stock_id, readable_region(token))
    if stock is None:
        return problem_response(404, PROBLEM + "unknown-stock", "Your region lists no such stock")
    return _priced(stock)
