"""The page on which users approve calls, from outside: who gets in, and what it takes to decide."""

import hashlib
from collections.abc import AsyncGenerator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from mcp.types import Tool

from authcore.key_ring import base64url
from mcp_gateway.approvals.calls import shown
from mcp_gateway.approvals.sign_in import COOKIE, STATE_COOKIE
from mcp_gateway.settings import Settings
from tests.mcp_gateway.approving import (
    ORDER,
    Person,
    changed,
    csrf_of,
    page_in,
    person,
    text_of,
)
from tests.mcp_gateway.conftest import PAGE_CLIENT, RESOURCE, Calls, Gateway, approving, running
from tests.support.issuer import Clock


@pytest.fixture
async def page(asking: Gateway, order: Calls) -> str:
    """The path of the page on which john's agent asks for something."""
    return page_in(text_of((await asking.call("order", **ORDER)).json()))


@pytest.fixture
async def john(asking: Gateway) -> AsyncGenerator[Person]:
    async with person(asking) as john:
        yield john


async def carried_out(gateway: Gateway) -> bool:
    return not (await gateway.call("order", **ORDER)).json()["result"]["isError"]


async def test_whoever_opens_the_page_has_to_sign_in_first(page: str, john: Person) -> None:
    response = await john.http.get(page)
    assert response.status_code == 303
    location = urlsplit(response.headers["location"])
    query = {name: values[0] for name, values in parse_qs(location.query).items()}
    assert f"{location.scheme}://{location.netloc}{location.path}" == "https://login.test/authorize"
    assert (
        query.items()
        >= {
            "response_type": "code",
            "client_id": PAGE_CLIENT,
            "redirect_uri": "https://mcp.test/approvals/callback",
            "code_challenge_method": "S256",
            "resource": RESOURCE,
            "scope": "approvals",
        }.items()
    )
    cookie = SimpleCookie(response.headers["set-cookie"])[STATE_COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "lax")
    # Neither what is asked nor what the sign-in depends on can be read on the way.
    assert "COM1" not in response.text + response.headers["location"]
    assert query["state"] not in cookie.value


async def test_the_code_is_redeemed_with_its_verifier_and_without_a_secret(
    page: str, john: Person, asking: Gateway
) -> None:
    await john.open(page)
    (form,) = asking.network.redeemed
    (asked,) = john.visits
    assert base64url(hashlib.sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
    assert form["resource"] == RESOURCE
    assert not {"client_secret", "client_assertion"} & set(form)


async def test_another_user_sees_nothing_and_decides_nothing(page: str, asking: Gateway) -> None:
    async with person(asking, "jane") as jane:
        opened = await jane.open(page)
        assert opened.status_code == 403
        for hidden in ("COM1", "450.5", "agent-1", "csrf"):
            assert hidden not in opened.text
        response = await jane.http.post(page, data={"csrf": "x", "decision": "approve"})
        assert response.status_code == 403
    assert not await carried_out(asking)


async def test_one_sign_in_is_for_one_approval(page: str, john: Person, asking: Gateway) -> None:
    await john.open(page)
    other = page_in(text_of((await asking.call("order", **changed(quantity=6))).json()))
    assert (await john.http.get(other)).status_code == 303
    session = john.http.cookies.get(COOKIE, path=page)
    assert session is not None
    john.http.cookies.set(COOKIE, session, domain="mcp.test", path=other)
    assert (await john.http.get(other)).status_code == 303


async def test_a_sign_in_lasts_for_minutes(page: str, john: Person, clock: Clock, settings: Settings) -> None:
    opened = await john.open(page)
    clock.seconds += 299
    assert (await john.http.get(page)).status_code == 200
    clock.seconds += 1
    response = await john.http.post(page, data={"csrf": csrf_of(opened), "decision": "approve"})
    assert response.status_code in (403, 404)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "another"},
        {"state": ""},
        {"iss": "https://evil.test"},
        {"iss": ""},
        {"code": ""},
        {"error": "no"},
    ],
    ids=["another state", "no state", "another issuer", "no issuer", "no code", "an error"],
)
async def test_an_answer_that_is_not_the_one_asked_for_signs_nobody_in(
    page: str, john: Person, asking: Gateway, changes: dict[str, str]
) -> None:
    begun = await john.http.get(page)
    response = await john.http.get(john.sign_in(begun.headers["location"], **changes))
    assert response.status_code == 400
    assert asking.network.redeemed == []
    assert (await john.http.get(page)).status_code == 303


async def test_an_answer_that_another_browser_asked_for_signs_nobody_in(
    page: str, john: Person, asking: Gateway
) -> None:
    async with person(asking, "mallory") as mallory:
        begun = await mallory.http.get(page)
        planted = mallory.sign_in(begun.headers["location"])
    # Login CSRF (RFC 9700 §4.7): without a sign-in of its own, and in the middle of one.
    assert (await john.http.get(planted)).status_code == 400
    await john.http.get(page)
    assert (await john.http.get(planted)).status_code == 400
    assert asking.network.redeemed == []


async def test_an_authorization_server_that_does_not_name_itself_is_a_setting(
    settings: Settings, clock: Clock, redis_url: str, order: Calls
) -> None:
    lenient = approving(settings, redis_url, issuer_in_response=False)
    async with running(lenient, clock) as gateway, person(gateway) as john:
        page = page_in(text_of((await gateway.call("order", **ORDER)).json()))
        begun = await john.http.get(page)
        for issuer, status in (("https://evil.test", 400), ("", 303)):
            response = await john.http.get(john.sign_in(begun.headers["location"], iss=issuer))
            assert response.status_code == status


async def test_a_token_that_was_issued_to_an_agent_signs_nobody_in(
    page: str, john: Person, asking: Gateway
) -> None:
    begun = await john.http.get(page)
    back = john.sign_in(begun.headers["location"])
    asking.network.broker.tokens["page-john"] = {"sub": "john", "client_id": "agent-1"}
    assert (await john.http.get(back)).status_code == 400
    assert (await john.http.get(page)).status_code == 303


@pytest.mark.parametrize("told", [401, 503, "HTML", "no token"], ids=str)
async def test_a_token_endpoint_in_trouble_signs_nobody_in(
    page: str, john: Person, asking: Gateway, told: object
) -> None:
    begun = await john.http.get(page)
    back = john.sign_in(begun.headers["location"])
    answers = {"HTML": httpx.Response(200, text="<html>"), "no token": httpx.Response(200, json={})}
    status = told if isinstance(told, int) else 200
    asking.network.token_endpoint = lambda _: answers.get(str(told)) or httpx.Response(status)
    assert (await john.http.get(back)).status_code == 400
    assert (await john.http.get(page)).status_code == 303


async def test_a_form_that_did_not_come_from_the_page_decides_nothing(
    page: str, john: Person, asking: Gateway
) -> None:
    csrf = csrf_of(await john.open(page))
    for form, origin in (
        ({"decision": "approve"}, "https://mcp.test"),
        ({"csrf": "guess", "decision": "approve"}, "https://mcp.test"),
        ({"csrf": csrf, "decision": "approve"}, "https://evil.test"),
        ({"csrf": csrf, "decision": "approve"}, "null"),
    ):
        response = await john.http.post(page, data=form, headers={"origin": origin})
        assert response.status_code == 403
    for form in ({"csrf": csrf}, {"csrf": csrf, "decision": "yes"}):
        assert (await john.http.post(page, data=form)).status_code == 400
    twice = f"csrf={csrf}&decision=deny&decision=approve"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await john.http.post(page, content=twice, headers=headers)).status_code == 400
    async with person(asking) as stranger:
        response = await stranger.http.post(page, data={"csrf": csrf, "decision": "approve"})
        assert response.status_code == 403
    assert not await carried_out(asking)
    assert "Approved" in (await john.decide(page, "approve", csrf=csrf)).text
    assert await carried_out(asking)


async def test_the_page_is_framed_by_nobody_runs_nothing_and_is_not_kept(page: str, john: Person) -> None:
    headers = (await john.open(page)).headers
    policy = headers["content-security-policy"]
    for directive in (
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    ):
        assert directive in policy
    assert "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert (await john.http.get("/approvals/style.css")).headers["content-type"].startswith("text/css")


async def test_nothing_an_agent_sends_becomes_markup_or_hides(
    asking: Gateway, john: Person, order: Calls
) -> None:
    hostile: dict[str, Any] = {
        "<b>name</b>": "</dd><script>alert(1)</script>",
        "note": "first\nsecond \u202e reversed \u200b hidden",
        "list": ['"><img src=x>'],
    }
    page = page_in(text_of((await asking.call("order", **hostile)).json()))
    html = (await john.open(page)).text
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html
    for invisible in ("\u202e", "\u200b"):
        assert invisible not in html
    assert r"first\u000asecond \u202e reversed \u200b hidden" in html


@pytest.mark.parametrize(
    "path", ["x", "a" * 32, "a" * 33, "..%2fmcp", "%00" * 32, "callback/x", "a" * 31 + "%0a"], ids=repr
)
async def test_an_address_without_an_approval_leads_nowhere(asking: Gateway, john: Person, path: str) -> None:
    response = await john.http.get(f"/approvals/{path}")
    assert response.status_code == 404
    assert "location" not in response.headers


async def test_a_foreign_host_is_not_served(page: str, john: Person) -> None:
    for path in (page, "/approvals/callback"):
        assert (await john.http.get(path, headers={"host": "evil.test"})).status_code == 421


def test_every_argument_is_shown_in_the_order_of_the_schema() -> None:
    properties = {"symbol": {"title": "Stock"}, "limit_price": {}, "side": {}}
    tool = Tool(name="order", input_schema={"type": "object", "properties": properties})
    rows = shown(tool, {"extra": {"b": 1, "a": [True, None]}, "limit_price": "5", "symbol": "COM1"})
    assert rows == [("Stock", "COM1"), ("Limit price", "5"), ("extra", '{"a":[true,null],"b":1}')]
