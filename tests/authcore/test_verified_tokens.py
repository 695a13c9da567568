"""A verification that is remembered is never worth more than one that is made."""

from typing import Any

import httpx
import pytest
from joserfc import jws

from authcore.errors import InvalidToken, TemporarilyUnavailable, UnknownKey, WrongAudience
from authcore.jwks import JwksClient, JwksPolicy
from authcore.validator import TokenProfile, TokenValidator
from tests.support.issuer import ISSUER, JWKS_URI, NOW, Clock, Issuer, ec_key

AUDIENCE = "https://mcp.test/mcp"
POLICY = JwksPolicy(max_age_seconds=300, max_stale_seconds=900)


class Watched:
    """A validator whose verifications are counted."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, audience: str = AUDIENCE, remembered: int = 2
    ) -> None:
        self.issuer, self.clock, self.verifications = Issuer(), Clock(), 0
        profile = TokenProfile(issuer=ISSUER, audience=frozenset({audience}))
        client = httpx.AsyncClient(transport=self.issuer.transport())
        self.jwks = JwksClient(client, JWKS_URI, now=self.clock, policy=POLICY)
        self.validator = TokenValidator(profile, self.jwks, now=self.clock, remembered=remembered)
        validate = jws.validate_compact

        def counting(*arguments: Any, **options: Any) -> bool:
            self.verifications += 1
            return validate(*arguments, **options)

        monkeypatch.setattr("authcore.validator.jws.validate_compact", counting)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_a_token_is_verified_once(watched: Watched) -> None:
    token = watched.issuer.sign()
    first = await watched.validator.validate(token)
    assert await watched.validator.validate(token) == first
    assert watched.verifications == 1


async def test_nothing_is_remembered_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, remembered=0)
    token = watched.issuer.sign()
    await watched.validator.validate(token)
    await watched.validator.validate(token)
    assert watched.verifications == 2


async def test_a_token_whose_key_was_withdrawn_is_refused(watched: Watched) -> None:
    token = watched.issuer.sign(exp=NOW + 9000)
    await watched.validator.validate(token)
    watched.issuer.published = [ec_key("k2")]
    # Asking about the new key brings the set without the old one.
    watched.clock.seconds += 60
    await watched.validator.validate(watched.issuer.sign(key=watched.issuer.published[0]))
    with pytest.raises(UnknownKey):
        await watched.validator.validate(token)


async def test_another_key_of_the_same_name_verifies_nothing_of_before(watched: Watched) -> None:
    token = watched.issuer.sign(exp=NOW + 9000)
    await watched.validator.validate(token)
    watched.issuer.published = [ec_key("k1"), ec_key("k2")]
    watched.clock.seconds += 60
    await watched.validator.validate(watched.issuer.sign(key=watched.issuer.published[1]))
    with pytest.raises(InvalidToken):
        await watched.validator.validate(token)


async def test_the_same_keys_fetched_anew_verify_anew(watched: Watched) -> None:
    token = watched.issuer.sign(exp=NOW + 9000)
    await watched.validator.validate(token)
    watched.issuer.published.append(ec_key("k2"))
    watched.clock.seconds += 60
    await watched.validator.validate(watched.issuer.sign(key=watched.issuer.published[1]))
    await watched.validator.validate(token)
    assert watched.verifications == 3


async def test_without_keys_that_are_fresh_enough_nothing_is_said_of_a_known_token(watched: Watched) -> None:
    token = watched.issuer.sign(exp=NOW + 9000)
    await watched.validator.validate(token)
    watched.issuer.fail = lambda: httpx.Response(503)
    watched.clock.seconds += POLICY.max_stale_seconds + 1
    with pytest.raises(TemporarilyUnavailable):
        await watched.validator.validate(token)


async def test_a_known_token_expires_to_the_second(watched: Watched) -> None:
    token = watched.issuer.sign(exp=NOW + 100)
    await watched.validator.validate(token)
    watched.clock.seconds = NOW + 129
    await watched.validator.validate(token)
    watched.clock.seconds = NOW + 130
    with pytest.raises(InvalidToken):
        await watched.validator.validate(token)


async def test_a_clock_set_back_finds_a_known_token_not_valid_yet(watched: Watched) -> None:
    token = watched.issuer.sign()
    await watched.validator.validate(token)
    watched.clock.seconds = NOW - 31
    with pytest.raises(InvalidToken):
        await watched.validator.validate(token)


async def test_what_one_audience_has_verified_another_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    token = watched.issuer.sign()
    await watched.validator.validate(token)
    other = TokenProfile(issuer=ISSUER, audience=frozenset({"https://other.test"}))
    for _ in range(2):
        with pytest.raises(WrongAudience):
            await TokenValidator(other, watched.jwks, now=watched.clock, remembered=2).validate(token)


async def test_a_bad_token_is_not_remembered_and_a_changed_one_is_another(watched: Watched) -> None:
    token = watched.issuer.sign()
    await watched.validator.validate(token)
    head, payload, _ = token.split(".")
    forged = f"{head}.{payload}.{Issuer().sign().rpartition('.')[2]}"
    for _ in range(2):
        with pytest.raises(InvalidToken):
            await watched.validator.validate(forged)
    assert watched.verifications == 3


async def test_so_many_are_remembered_and_no_more(watched: Watched) -> None:
    tokens = [watched.issuer.sign(jti=str(number)) for number in range(3)]
    for token in tokens:
        await watched.validator.validate(token)
    await watched.validator.validate(tokens[2])
    await watched.validator.validate(tokens[1])
    assert watched.verifications == 3
    await watched.validator.validate(tokens[0])
    assert watched.verifications == 4
