"""A delegation that ends at the authorization server ends everywhere, and soon."""

import asyncio
from functools import partial

from demo.agent import connected_agent
from demo.browser import Visitor
from demo.inbox import newest_password
from tests.support.system import JOHN, REGION, System, symbols

BOUND_SECONDS = 5.0


async def test_a_token_given_back_is_refused_by_the_gateway_that_has_just_used_it(system: System) -> None:
    addresses = system.stack.addresses
    visitor = Visitor(JOHN, partial(newest_password, addresses.inbox))
    async with connected_agent(addresses.mcp, visitor) as agent:
        tokens, registration = agent.wallet.tokens, agent.wallet.registration
    assert tokens is not None
    assert registration is not None
    kept = await system.token(JOHN)
    assert symbols(await system.call(tokens.access_token)) == REGION[JOHN]
    revocation = {"token": tokens.access_token, "client_id": registration.client_id}
    response = await system.http.post(addresses.issuer + "/revoke", data=revocation)
    assert response.status_code == 200
    async with asyncio.timeout(BOUND_SECONDS):
        while (answer := await system.call(tokens.access_token)).status_code == 200:
            pass
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert symbols(await system.call(kept)) == REGION[JOHN]
