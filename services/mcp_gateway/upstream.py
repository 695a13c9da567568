"""Client of the stocks API: one tool call becomes one request with a token for the API alone."""

import json
from collections.abc import Mapping
from typing import Final, TypeVar, cast

import httpx
from pydantic import TypeAdapter, ValidationError

from authcore.errors import TemporarilyUnavailable
from authcore.http_client import BoundedResponse, send_bounded
from mcp_gateway.documents import Order, OrderPage, PlacedOrder, PriceHistory, StockPrice


class UpstreamRefused(Exception):
    """The API understood and said no. `detail` is its own explanation, fit for the agent."""

    def __init__(self, status: int, problem_type: str, detail: str) -> None:
        super().__init__(f"{status} {problem_type}")
        self.status = status
        self.problem_type = problem_type
        self.detail = detail

    @property
    def explanation(self) -> str:
        """What the agent is told: which rule it was (RFC 9457 §3.1.1), and what the API says would help."""
        rule = "" if self.problem_type == "about:blank" else f" by the rule {self.problem_type}"
        return f"The API refused ({self.status}){rule}: {self.detail}"


class UpstreamUnavailable(Exception):
    """The API did not answer, or not in its own format. The same call may succeed later."""


_STOCKS: Final = TypeAdapter(list[StockPrice])
_STOCK: Final = TypeAdapter(StockPrice)
_HISTORY: Final = TypeAdapter(PriceHistory)
_ORDER: Final = TypeAdapter(Order)
_PLACED: Final = TypeAdapter(PlacedOrder)
_ORDERS: Final = TypeAdapter(OrderPage)

D = TypeVar("D")

Parameters = Mapping[str, str | None]
"""Of a query; those that are `None` are left out."""


class StocksApi:
    """Calls the API; knows its paths and its problems (RFC 9457)."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    async def list_stocks(self, access_token: str) -> list[StockPrice]:
        """Return the stocks the token's user may see.

        All methods raise `UpstreamRefused` when the API answered 4xx, and `UpstreamUnavailable` when it did
        not answer, or not in its own format.
        """
        return _read(_STOCKS, await self._send("GET", "/stocks", access_token))

    async def stock(self, access_token: str, symbol: str) -> StockPrice:
        """Return one stock. The symbol has the form of one."""
        return _read(_STOCK, await self._send("GET", f"/stocks/{symbol}", access_token))

    async def history(self, access_token: str, symbol: str, parameters: Parameters) -> PriceHistory:
        """Return a page of what the stock cost before. The symbol has the form of one."""
        path = f"/stocks/{symbol}/history"
        return _read(_HISTORY, await self._send("GET", path, access_token, parameters=parameters))

    async def place_order(
        self, access_token: str, terms: Mapping[str, str | int | None], *, idempotency_key: str
    ) -> PlacedOrder:
        """Place an order, or find the one that was placed with the key before."""
        headers = {"idempotency-key": idempotency_key}
        response = await self._send("POST", "/orders", access_token, headers=headers, document=terms)
        order = _read(_PLACED, response)
        return order.model_copy(update={"placed_before": "idempotent-replayed" in response.headers})

    async def list_orders(self, access_token: str, parameters: Parameters) -> OrderPage:
        """Return a page of the user's orders."""
        return _read(_ORDERS, await self._send("GET", "/orders", access_token, parameters=parameters))

    async def cancel_order(self, access_token: str, order_id: str) -> Order:
        """Cancel an order and return it. The id has the form of one."""
        return _read(_ORDER, await self._send("DELETE", f"/orders/{order_id}", access_token))

    async def _send(
        self,
        method: str,
        path: str,
        access_token: str,
        *,
        parameters: Parameters | None = None,
        headers: Mapping[str, str] | None = None,
        document: Mapping[str, object] | None = None,
    ) -> BoundedResponse:
        request = self._client.build_request(
            method,
            self._url + path,
            params={name: value for name, value in (parameters or {}).items() if value is not None},
            headers={"authorization": f"Bearer {access_token}", "accept": "application/json"}
            | dict(headers or {}),
            json=document,
        )
        try:
            response = await send_bounded(self._client, request)
        except TemporarilyUnavailable as error:
            raise UpstreamUnavailable(error.reason) from error
        if response.status in (200, 201):
            return response
        if 400 <= response.status < 500:
            problem = _problem(response)
            raise UpstreamRefused(
                response.status,
                str(problem.get("type", "about:blank")),
                str(problem.get("detail", "Refused")),
            )
        raise UpstreamUnavailable(f"it answered {response.status}")


def _read(shape: TypeAdapter[D], response: BoundedResponse) -> D:
    try:
        return shape.validate_json(response.body)
    except ValidationError:
        raise UpstreamUnavailable("its answer is not what it describes") from None


def _problem(response: BoundedResponse) -> dict[str, object]:
    """Return the members of a problem document; none if the refusal has no such document."""
    if response.media_type != "application/problem+json":
        return {}
    try:
        document: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", document) if isinstance(document, dict) else {}
