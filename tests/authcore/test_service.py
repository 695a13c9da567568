"""How services are served."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from authcore.errors import TemporarilyUnavailable
from authcore.service import RequestLimits, ServiceSettings, health_routes, load_settings


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def failing() -> None:
    raise TemporarilyUnavailable(reason="redis is away")


async def working() -> None:
    return


def client() -> httpx.AsyncClient:
    routes = [Route("/", echo, methods=["POST"]), *health_routes({"redis": failing, "keys": working})]
    app = RequestLimits(Starlette(routes=routes), max_body_bytes=10)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test")


async def test_small_requests_pass_and_large_ones_are_refused() -> None:
    async with client() as http:
        assert (await http.post("/", content=b"1234567890")).text == "1234567890"
        assert (await http.post("/", content=b"12345678901")).status_code == 413
        assert (await http.post("/", headers={"x": "a" * 17_000})).status_code == 431


async def test_readiness_names_what_is_missing() -> None:
    async with client() as http:
        response = await http.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"redis": "redis is away", "keys": "ok"}
        assert (await http.get("/livez")).status_code == 200


def test_a_missing_setting_ends_the_start_with_its_name_and_no_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "s3cret")
    with pytest.raises(SystemExit) as end:
        load_settings(ServiceSettings)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "PORT" in error
    assert "s3cret" not in error
