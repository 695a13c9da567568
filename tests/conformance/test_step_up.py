"""The TypeScript SDK's client follows a step-up: asked twice, answered once."""

from pathlib import Path

from tests.conformance.clients import authorized, said, started
from tests.conformance.node import node
from tests.conformance.profiles import Profiles


async def test_the_typescript_client_asks_its_user_for_more_and_its_call_is_answered(
    profiles: Profiles, tmp_path: Path
) -> None:
    addresses = profiles.stack.addresses
    arguments = (node() or "node", "console_client.mjs", addresses.mcp, "list-orders")
    process = await started(*arguments, directory=tmp_path, token=None)
    first = await authorized(process, addresses)
    assert "scope=stocks%2Fread&" in first + "&"
    second = await authorized(process, addresses)
    assert "stocks%2Ftrade" in second
    assert "stocks%2Fread" in second
    output = await said(process)
    assert process.returncode == 0, output
    assert '"orders"' in output
