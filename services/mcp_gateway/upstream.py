"""Client of the stocks API: one tool call becomes one request with a token for the API alone."""

import json
from typing import Final, cast

import httpx
from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter, ValidationError

from authcore.errors import TemporarilyUnavailable
from authcore.http_client import BoundedResponse, send_bounded


class UpstreamRefused(Exception):
    """The API understood and said no. `detail` is its own explanation, fit for the agent."""

    def __init__(self, status: int, problem_type: str, detail: str) -> None:
        super().__init__(f"{status} {problem_type}")
        self.status = status
        self.problem_type = problem_type
        self.detail = detail


class UpstreamUnavailable(Exception):
    """The API did not answer, or not in its own format. The same call may succeed later."""


class StockPrice(BaseModel):
    """One stock as the API describes it. What is not described here does not reach the agent."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    region: str
    currency: str
    price: FiniteFloat


_STOCKS: Final = TypeAdapter(list[StockPrice])


class StocksApi:
    """Calls the API; knows its paths and its problems (RFC 9457)."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    async def list_stocks(self, access_token: str) -> list[StockPrice]:
        """Return the stocks the token's user may see.

        Raises:
            UpstreamRefused: the API answered 4xx.
            UpstreamUnavailable: it did not answer, or not in its own format.
        """
        body = await self._get("/stocks", access_token)
        try:
            return _STOCKS.validate_json(body)
        except ValidationError:
            raise UpstreamUnavailable("its list of stocks is not one") from None

    async def _get(self, path: str, access_token: str) -> bytes:
        request = self._client.build_request(
            "GET",
            self._url + path,
            headers={"authorization": f"Bearer {access_token}", "accept": "application/json"},
        )
        try:
            response = await send_bounded(self._client, request)
        except TemporarilyUnavailable as error:
            raise UpstreamUnavailable(error.reason) from error
        if response.status == 200:
            return response.body
        if 400 <= response.status < 500:
            problem = _problem(response)
            raise UpstreamRefused(
                response.status,
                str(problem.get("type", "about:blank")),
                str(problem.get("detail", "Refused")),
            )
        raise UpstreamUnavailable(f"it answered {response.status}")


def _problem(response: BoundedResponse) -> dict[str, object]:
    """Return the members of a problem document; none if the refusal has no such document."""
    if response.media_type != "application/problem+json":
        return {}
    try:
        document: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", document) if isinstance(document, dict) else {}
