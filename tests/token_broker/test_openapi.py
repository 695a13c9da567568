import json
import re

from tests.token_broker.conftest import Broker
from token_broker.settings import Settings


async def test_the_document_describes_every_endpoint(broker: Broker) -> None:
    document = (await broker.http.get("/openapi.json")).json()
    operations = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert operations == {
        ("/introspect", "post"),
        ("/token", "post"),
        ("/revoke", "post"),
        ("/events", "post"),
        ("/delegations", "get"),
        ("/delegations/{delegation}", "get"),
        ("/delegations/{delegation}", "delete"),
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            assert "default" in operation["responses"]
            assert "422" not in operation["responses"]
            assert "security" in operation or "requestBody" in operation
    referenced = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referenced == document["components"]["schemas"].keys()


async def test_the_document_gives_nothing_away(broker: Broker, settings: Settings) -> None:
    text = (await broker.http.get("/openapi.json")).text
    secrets = (settings.sealing_key, settings.redis_url, settings.client_key)
    for secret in (*(secret.get_secret_value() for secret in secrets), settings.issuer, "mcp-gateway"):
        assert secret not in text
    assert "HTTPValidationError" not in text
