"""The whole way: register, authorize, log in, agree, redeem, introspect, exchange."""

from tests.authserver.server import API, BROKER, CALLBACK, ISSUER, JOHN, MCP, AuthServer


async def test_an_agent_gets_an_opaque_token_that_becomes_a_phantom_and_an_exchanged_jwt(
    server: AuthServer,
) -> None:
    client = await server.register()
    browser = server.browser()
    page = await server.authorize(browser, client["client_id"])
    assert '<strong class="client">Test agent</strong> is requesting access' in page.text
    page = await browser.submit(page, email=JOHN)
    page = await browser.submit(page, code=(await server.mails(JOHN))[0]["code"])
    assert "Allow access?" in page.text
    page = await browser.submit(page, decision="allow")
    assert page.response.headers["location"].startswith(f"{CALLBACK}?")
    assert page.callback["state"] == "s1"
    assert page.callback["iss"] == ISSUER

    response = await server.redeem(client["client_id"], page.callback["code"], resource=MCP)
    answer = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert answer | {"access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 900,
        "scope": "stocks/read",
    }

    phantom = await server.introspect(answer["access_token"], "application/jwt")
    claims = (await server.verified(phantom.text)).claims
    assert claims["aud"] == MCP
    assert claims["client_id"] == client["client_id"]

    exchanged = (await server.exchange(answer["access_token"], scope="stocks/read")).json()
    derived = (await server.verified(exchanged["access_token"])).claims
    assert derived["aud"] == API
    assert derived["act"] == {"sub": BROKER}
    assert derived["delegationId"] == claims["delegationId"]
