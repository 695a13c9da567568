"""Whatever is sent to the API, by its own description or against it: it answers as it describes."""

import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from stocks.app import create_app
from tests.stocks.conftest import AUDIENCE, BROKER, settings_of
from tests.support.issuer import Clock, Issuer
from tests.support.redis_server import free_port

OPERATIONS = (
    "GET /stocks",
    "GET /stocks/{stock_id}",
    "GET /stocks/{stock_id}/history",
    "POST /orders",
    "GET /orders",
    "GET /orders/{order_id}",
    "DELETE /orders/{order_id}",
)
EXAMPLES = 40
WRONG_IS_REFUSED = cast(Any, checks).negative_data_rejection


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Any, dict[str, str]]]:
    """The API on a socket, what it says of itself, and a token that may do everything."""
    issuer = Issuer()
    store = f"sqlite:///{Path(tmp_path_factory.mktemp('fuzz')) / 'stocks.sqlite'}"
    app = create_app(settings_of(store), transport=issuer.transport(), now=Clock())
    token = issuer.sign(aud=AUDIENCE, scope="stocks", client_assurance_level=2, act={"sub": BROKER})
    with _serving(app) as url:
        yield url, schemathesis.openapi.from_dict(app.openapi()), {"authorization": f"Bearer {token}"}


@contextmanager
def _serving(app: Any) -> Generator[str]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def operation_of(schema: Any, name: str) -> Any:
    method, _, path = name.partition(" ")
    return schema[path][method]


def test_every_operation_is_fuzzed(served: tuple[str, Any, dict[str, str]]) -> None:
    _, schema, _ = served
    assert {
        f"{result.ok().method.upper()} {result.ok().path}" for result in schema.get_all_operations()
    } == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_it_answers_as_it_describes(
    served: tuple[str, Any, dict[str, str]], name: str, mode: GenerationMode
) -> None:
    url, schema, headers = served

    @given(case=operation_of(schema, name).as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def fuzzed(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            # To JSON Schema 2.0 is an integer. Not to us: where it is written so, 0.1 + 0.2 may come next.
            assume(not _has_float(case.body))
            _aim(case)
        response = case.call(base_url=url, headers=headers)
        assert response.status_code < 500
        # Without a body what is wrong may be a query parameter we do not know, or the token, which we give.
        excluded = [] if name.startswith("POST") else [WRONG_IS_REFUSED]
        case.validate_response(response, headers=headers, excluded_checks=excluded)

    fuzzed()


def _has_float(body: Any) -> bool:
    return isinstance(body, dict) and any(isinstance(value, float) for value in cast("Any", body).values())


def _aim(case: Any) -> None:
    """Let every other request be for a stock that there is."""
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict) and len(cast("Any", place).get("stock_id", "")) % 2:
            place["stock_id"] = "COM1"
            # A key that has been used stands for another order.
            case.headers["Idempotency-Key"] = secrets.token_hex(16)
