from typing import Any

import pytest

from authcore.client_assertion import StaticKeys
from authcore.security_events import SESSION_REVOKED, RefusedSet, SecurityEvent, SecurityEventVerifier
from tests.support.forgery import signed
from tests.support.issuer import ISSUER, NOW, Clock, Issuer, ec_key

BROKER = "https://broker.test"
SUBJECT = {"format": "opaque", "id": "d1"}


def claims(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "iss": ISSUER,
        "aud": BROKER,
        "iat": NOW,
        "jti": "event-1",
        "sub_id": SUBJECT,
        "events": {SESSION_REVOKED: {"event_timestamp": NOW, "initiating_entity": "user"}},
    } | changes
    return {name: value for name, value in given.items() if value is not None}


def event(issuer: Issuer, header: dict[str, Any] | None = None, **changes: Any) -> str:
    return signed(issuer, {"typ": "secevent+jwt"} | (header or {}), claims(**changes))


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def verifier(issuer: Issuer) -> SecurityEventVerifier:
    return SecurityEventVerifier(
        StaticKeys([issuer.key]),
        issuer=ISSUER,
        audience=BROKER,
        algorithms=frozenset({"ES256"}),
        clock_skew_seconds=30,
        now=Clock(),
    )


@pytest.mark.parametrize("audience", [BROKER, [BROKER, "https://other.test"]])
async def test_a_good_event_names_what_was_revoked(
    issuer: Issuer, verifier: SecurityEventVerifier, audience: object
) -> None:
    assert await verifier.verify(event(issuer, aud=audience)) == SecurityEvent("event-1", "d1")


async def test_an_event_of_another_kind_is_good_and_means_nothing_here(
    issuer: Issuer, verifier: SecurityEventVerifier
) -> None:
    other = event(issuer, events={"https://schemas.test/else": {}}, sub_id=None)
    assert await verifier.verify(other) == SecurityEvent("event-1", None)


@pytest.mark.parametrize(
    ("err", "changes"),
    [
        ("invalid_issuer", {"iss": "https://evil.test"}),
        ("invalid_issuer", {"iss": None}),
        ("invalid_audience", {"aud": "https://other.test"}),
        ("invalid_request", {"aud": None}),
        ("invalid_request", {"aud": [1]}),
        ("invalid_request", {"iat": NOW + 31}),
        ("invalid_request", {"iat": None}),
        ("invalid_request", {"jti": None}),
        ("invalid_request", {"jti": 7}),
        ("invalid_request", {"events": None}),
        ("invalid_request", {"events": {}}),
        ("invalid_request", {"events": [SESSION_REVOKED]}),
        ("invalid_request", {"events": {SESSION_REVOKED: "now"}}),
        ("invalid_request", {"sub_id": None}),
        ("invalid_request", {"sub_id": {"format": "email", "email": "john.doe@demo.example"}}),
        ("invalid_request", {"sub_id": {"format": "opaque"}}),
        ("invalid_request", {"sub_id": {"format": "opaque", "id": ["d1"]}}),
    ],
)
async def test_claims_that_are_not_as_they_must_be_are_refused_by_their_code(
    issuer: Issuer, verifier: SecurityEventVerifier, err: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(RefusedSet) as refused:
        await verifier.verify(event(issuer, **changes))
    assert refused.value.err == err


@pytest.mark.parametrize(
    ("err", "header"),
    [
        ("invalid_request", {"typ": "at+jwt"}),
        ("invalid_request", {"typ": None}),
        ("invalid_key", {"kid": "another"}),
        ("invalid_key", {"alg": "none"}),
        ("invalid_key", {"alg": "HS256"}),
    ],
)
async def test_a_header_that_is_not_as_it_must_be_is_refused_by_its_code(
    issuer: Issuer, verifier: SecurityEventVerifier, err: str, header: dict[str, Any]
) -> None:
    with pytest.raises(RefusedSet) as refused:
        await verifier.verify(event(issuer, header))
    assert refused.value.err == err


async def test_another_key_under_the_same_name_does_not_authenticate_the_sender(
    verifier: SecurityEventVerifier,
) -> None:
    with pytest.raises(RefusedSet) as refused:
        await verifier.verify(event(Issuer(key=ec_key("k1"))))
    assert refused.value.err == "authentication_failed"


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a" * 20_000])
async def test_what_is_no_jwt_is_malformed(verifier: SecurityEventVerifier, text: str) -> None:
    with pytest.raises(RefusedSet) as refused:
        await verifier.verify(text)
    assert refused.value.err == "invalid_request"
