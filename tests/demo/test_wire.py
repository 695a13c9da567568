import httpx2

from demo.wire import Exchange, response_hook, shorten, shorten_authorization, shorten_token, shorten_url

OPAQUE = "5f3aSECRETsecretSECRETsecretSECRETsecret123"


def test_a_token_is_shown_by_its_first_characters_its_kind_and_its_length() -> None:
    assert shorten_token(OPAQUE) == "5f3a…(opaque, 43 chars)"
    assert shorten_token("eyJh.eyJp.c2ln" + "x" * 20) == "eyJh…(JWT, 34 chars)"


def test_nothing_of_a_short_secret_is_shown() -> None:
    assert shorten("123456") == "…(6 chars)"


def test_an_authorization_header_keeps_its_scheme_only() -> None:
    assert shorten_authorization(f"Bearer {OPAQUE}") == "Bearer 5f3a…(opaque, 43 chars)"
    assert shorten_authorization("whatever-this-is") == "what…(16 chars)"


def test_secrets_in_a_query_are_shortened_and_the_rest_is_readable() -> None:
    shown = shorten_url(f"http://c.test/cb?code={OPAQUE}&iss=http%3A%2F%2Fas.test%2Fp&scope=stocks%2Fread")
    assert shown == "http://c.test/cb?code=5f3a…(43 chars)&iss=http://as.test/p&scope=stocks/read"


async def test_a_client_with_the_hook_reports_forms_json_and_status() -> None:
    seen: list[Exchange] = []

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(201, json={"client_id": "1"})

    hooks = {"response": [response_hook("agent", seen.append)]}
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), event_hooks=hooks) as client:
        await client.post("http://as.test/token", data={"grant_type": "authorization_code"})
        await client.post("http://as.test/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert seen[0].form == {"grant_type": "authorization_code"}
    assert seen[0].response_json == {"client_id": "1"}
    assert seen[0].rpc_method is None
    assert (seen[1].rpc_method, seen[1].path, seen[1].status) == ("tools/list", "/mcp", 201)


async def test_a_body_that_is_no_json_object_is_reported_as_empty() -> None:
    seen: list[Exchange] = []

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=b"[1", headers={"content-type": "application/json"})

    hooks = {"response": [response_hook("browser", seen.append)]}
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), event_hooks=hooks) as client:
        await client.get("http://as.test/")
    assert seen[0].response_json == {}
