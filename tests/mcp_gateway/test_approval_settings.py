"""Settings of approvals that cannot work are refused at the start, with what to do."""

from typing import Any

import pytest
from pydantic import ValidationError

from mcp_gateway.settings import Settings
from tests.mcp_gateway.conftest import approving


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"state_key": ""}, "GATEWAY_STATE_KEY"),
        ({"state_key": "short"}, "32 bytes"),
        ({"redis_url": ""}, "GATEWAY_REDIS_URL"),
        ({"authorization_endpoint": ""}, "GATEWAY_AUTHORIZATION_ENDPOINT"),
        ({"token_endpoint": ""}, "GATEWAY_TOKEN_ENDPOINT"),
        ({"approval_wait_seconds": 30.0}, "GATEWAY_REQUEST_DEADLINE_SECONDS"),
    ],
    ids=str,
)
def test_approvals_are_configured_whole_or_not_at_all(
    settings: Settings, changes: dict[str, Any], named: str
) -> None:
    whole: dict[str, Any] = approving(settings, "redis://127.0.0.1:1/0").model_dump(exclude={"otlp_endpoint"})
    assert Settings(**whole).approval_client_id
    with pytest.raises(ValidationError, match=named):
        Settings(**whole | changes)


def test_a_gateway_that_asks_nobody_needs_nothing_for_it(settings: Settings) -> None:
    bare: dict[str, Any] = settings.model_dump(exclude={"otlp_endpoint"}) | {"request_deadline_seconds": 1.0}
    assert not Settings(**bare).approval_client_id
