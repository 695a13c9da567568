"""`/orders`: the user's orders, and nobody else's."""

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from stocks import idempotency, problems
from stocks.access import AllowedTrader, Owner, state_of
from stocks.idempotency import REPLAYED, IdempotencyKey
from stocks.json_body import StrictRoute
from stocks.orders import Order, RequestKey, Terms
from stocks.prices import TOKEN_PROBLEMS, known_stock
from stocks.problems import Problem, described
from stocks.wire import OrderDocument, OrderId, OrderPage, OrderRequest, PageSize

router = APIRouter(route_class=StrictRoute, tags=["orders"], responses=described(*TOKEN_PROBLEMS))

_PLACE: Final = described(
    problems.INVALID_REQUEST,
    problems.IDEMPOTENCY_KEY_REQUIRED,
    problems.INSUFFICIENT_SCOPE,
    problems.CONTEXT_MISSING,
    problems.ACTOR_NOT_ALLOWED,
    problems.ASSURANCE_TOO_LOW,
    problems.ORDER_LIMIT_EXCEEDED,
    problems.UNKNOWN_STOCK,
    problems.IDEMPOTENCY_KEY_IN_USE,
    problems.IDEMPOTENCY_KEY_REUSED,
    problems.INVALID_INPUT,
)
_ONE: Final = described(problems.UNKNOWN_ORDER, problems.INVALID_INPUT)
_CHANGE: Final = _ONE | described(
    problems.INSUFFICIENT_SCOPE,
    problems.CONTEXT_MISSING,
    problems.ACTOR_NOT_ALLOWED,
    problems.ASSURANCE_TOO_LOW,
)

OrderPath = Annotated[OrderId, Path(description="the order's id")]


@router.post(
    "/orders",
    status_code=201,
    summary="Place an order",
    responses=_PLACE,
    openapi_extra=idempotency.DESCRIBED,
)
async def place_order(
    request: Request, response: Response, trader: AllowedTrader, key: IdempotencyKey, body: OrderRequest
) -> OrderDocument:
    """Accept an order for the token's user, once for each `Idempotency-Key`; repeats get the first answer."""
    state, terms = state_of(request), body.terms()
    request_key = RequestKey(trader.user, trader.client_id, key)
    placed = await state["store"].placed_with(request_key)
    if placed is not None:
        response.headers[REPLAYED] = "true"
        return _first_answer(placed, terms)
    stock = known_stock(terms.stock_id, trader.region)
    value = terms.value(state["price_book"].price(stock))
    state["authorization"].require_within_limit(trader, value, stock.currency)
    # Nobody can guess an id; who does is still not told whether it exists.
    order = Order(secrets.token_urlsafe(16), terms, stock.currency, value, state["now"]())
    if not await state["store"].add(request_key, order):
        raise Problem(
            problems.IDEMPOTENCY_KEY_IN_USE,
            "A request with this Idempotency-Key was being carried out at the same time. Repeat yours to get "
            "its answer",
            retry_after_seconds=1,
        )
    return OrderDocument.of(order)


@router.get("/orders", summary="The user's orders", responses=_ONE)
async def list_orders(
    request: Request,
    owner: Owner,
    limit: Annotated[PageSize, Query(description="orders on a page")] = 20,
    cursor: Annotated[OrderId | None, Query(description="`next_cursor` of the page before")] = None,
) -> OrderPage:
    """Return the orders of the token's user, whichever agent placed them, the latest first."""
    # One more than is shown tells whether there is another page.
    found = await state_of(request)["store"].orders(owner.user, after=cursor, limit=limit + 1)
    if found is None:
        raise Problem(problems.UNKNOWN_ORDER, "Take `cursor` from `next_cursor` of the page before")
    shown = found[:limit]
    return OrderPage(
        orders=[OrderDocument.of(order) for order in shown],
        next_cursor=shown[-1].id if len(found) > limit else None,
    )


@router.get("/orders/{order_id}", summary="One of the user's orders", responses=_ONE)
async def get_order(request: Request, owner: Owner, order_id: OrderPath) -> OrderDocument:
    """Return one order of the token's user; any other is not found."""
    return _known(await state_of(request)["store"].order(owner.user, order_id))


@router.delete("/orders/{order_id}", summary="Cancel an order", responses=_CHANGE)
async def cancel_order(request: Request, trader: AllowedTrader, order_id: OrderPath) -> OrderDocument:
    """Cancel one order of the token's user and return it; to cancel it again changes nothing."""
    state = state_of(request)
    return _known(await state["store"].cancel(trader.user, order_id, state["now"]()))


def _first_answer(placed: Order, terms: Terms) -> OrderDocument:
    if placed.terms != terms:
        raise Problem(
            problems.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used for an order with other terms. Use a new one for another order",
        )
    return OrderDocument.of(placed.as_accepted())


def _known(order: Order | None) -> OrderDocument:
    if order is None:
        raise Problem(problems.UNKNOWN_ORDER, "You have no such order. GET /orders has all you have")
    return OrderDocument.of(order)
