"""Who sees which prices."""

from typing import Any

import httpx
import pytest

from tests.stocks.conftest import AUDIENCE, Api
from tests.support.forgery import FORGERIES
from tests.support.issuer import Issuer


async def test_each_region_sees_its_own_stocks(api: Api) -> None:
    usa = (await api.get("/stocks", region="USA")).json()
    europe = (await api.get("/stocks", region="Europe")).json()
    assert [(stock["id"], stock["price"]) for stock in usa] == [("COM1", 450.22), ("COM4", 180.75)]
    assert [(stock["id"], stock["price"]) for stock in europe] == [("COM2", 250.62), ("COM3", 21.07)]


@pytest.mark.parametrize("region", ["Mars", "usa", "USA,Europe", "*", "USA "])
async def test_an_unknown_region_sees_nothing(api: Api, region: str) -> None:
    assert (await api.get("/stocks", region=region)).json() == []


async def test_no_parameter_widens_the_region(api: Api) -> None:
    response = await api.get("/stocks?region=Europe", region="USA")
    assert {stock["region"] for stock in response.json()} == {"USA"}


async def test_a_stock_of_another_region_is_not_told_from_one_that_does_not_exist(api: Api) -> None:
    foreign = await api.get("/stocks/COM2", region="USA")
    missing = await api.get("/stocks/COM9", region="USA")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() == missing.json()
    assert foreign.json()["type"] == "urn:delegant:problem:unknown-stock"
    assert (await api.get("/stocks/COM1", region="USA")).json()["price"] == 450.22


@pytest.mark.parametrize("claim", ["region", "client_type", "client_assurance_level"])
async def test_a_missing_context_claim_is_forbidden_and_named(api: Api, claim: str) -> None:
    response = await api.get("/stocks", **{claim: None})
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert claim in response.json()["detail"]


async def test_assurance_level_0_is_a_level(api: Api) -> None:
    assert (await api.get("/stocks", client_assurance_level=0)).status_code == 200


@pytest.mark.parametrize("level", ["1", True, 1.5, [1]])
async def test_a_context_claim_of_the_wrong_type_is_never_read_as_absent_or_present(
    api: Api, level: Any
) -> None:
    assert (await api.get("/stocks", client_assurance_level=level)).status_code == 401


@pytest.mark.parametrize("scope", [None, "", "profile", "stocks/rea", "stocks/read/all", "STOCKS/READ"])
async def test_without_the_scope_it_is_403_with_a_challenge(api: Api, scope: str | None) -> None:
    response = await api.get("/stocks", scope=scope)
    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert 'scope="stocks/read"' in response.headers["www-authenticate"]


async def test_the_whole_stocks_scope_reaches_reading(api: Api) -> None:
    assert (await api.get("/stocks", scope="profile stocks")).status_code == 200


async def test_a_token_for_the_mcp_server_is_refused(api: Api) -> None:
    assert (await api.get("/stocks", aud="https://mcp.test/mcp")).status_code == 401


async def test_without_a_token_the_challenge_has_no_error(api: Api) -> None:
    response = await api.http.get("/stocks")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer scope="stocks/read"'


@pytest.mark.parametrize("kind", FORGERIES)
async def test_a_bad_token_is_refused(api: Api, kind: str) -> None:
    class ForUs(Issuer):
        def claims(self, **changes: Any) -> dict[str, Any]:
            return super().claims(**({"aud": AUDIENCE} | changes))

    token = FORGERIES[kind](ForUs(key=api.issuer.key))
    response = await api.http.get("/stocks", headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_when_keys_cannot_be_fetched_the_answer_is_503_and_not_ready(api: Api) -> None:
    api.issuer.fail = lambda: httpx.Response(500)
    response = await api.get("/stocks")
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert (await api.http.get("/readyz")).status_code == 503
    assert (await api.http.get("/livez")).status_code == 200
