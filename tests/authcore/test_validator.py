"""From a JWT to verified claims."""

from typing import Any

import pytest

from authcore.claims import ClaimNames
from authcore.client_assertion import StaticKeys
from authcore.errors import InvalidToken
from authcore.validator import TokenProfile, TokenValidator
from tests.support.issuer import ISSUER, NOW, Clock, Issuer

AUDIENCE = frozenset({"https://mcp.test/mcp"})


def validator(issuer: Issuer, **profile: Any) -> TokenValidator:
    return TokenValidator(token_profile(**profile), StaticKeys([*issuer.published]), now=Clock())


def token_profile(**changes: Any) -> TokenProfile:
    members: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE} | changes
    return TokenProfile(**members)


async def test_a_good_token_gives_its_claims() -> None:
    issuer = Issuer()
    act = {"sub": "gateway", "act": {"sub": "agent"}}
    token = await validator(issuer).validate(issuer.sign(act=act, purpose="prices"))
    assert (token.issuer, token.subject, token.client_id) == (ISSUER, "user-1", "agent-1")
    assert token.audience == AUDIENCE
    assert token.scope == {"stocks/read"}
    assert (token.expires_at, token.issued_at, token.token_id) == (NOW + 900, NOW, "jti-1")
    assert token.delegation_id == "delegation-1"
    assert (token.context.region, token.context.client_type) == ("USA", "mcp")
    assert (token.context.client_assurance_level, token.context.purpose) == (1, "prices")
    assert token.actors == ("gateway", "agent")
    assert token.confirmation == {}


async def test_leeway_covers_the_clocks_difference_and_no_more() -> None:
    issuer = Issuer()
    check = validator(issuer, clock_skew_seconds=30)
    await check.validate(issuer.sign(exp=NOW - 29, nbf=NOW + 30, iat=NOW + 30))
    for token in (issuer.sign(exp=NOW - 30), issuer.sign(nbf=NOW + 31), issuer.sign(iat=NOW + 31)):
        with pytest.raises(InvalidToken):
            await check.validate(token)


async def test_names_of_other_products_are_read_by_configuration() -> None:
    issuer = Issuer()
    names = ClaimNames(delegation=("sid",), client=("cid",), scope=("scp",))
    token = await validator(issuer, claim_names=names).validate(
        issuer.sign(sid="s-1", cid="okta-client", scp=["a", "b"], scope=None, delegationId=None)
    )
    assert (token.delegation_id, token.client_id) == ("s-1", "okta-client")
    assert token.scope == {"a", "b"}


async def test_any_type_is_accepted_when_the_profile_names_none() -> None:
    issuer = Issuer()
    token = issuer.sign(header={"typ": "application/at+JWT"})
    await validator(issuer).validate(token)
    await validator(issuer, token_types=frozenset({"at+jwt"})).validate(token)
    with pytest.raises(InvalidToken):
        await validator(issuer, token_types=frozenset({"jwt"})).validate(token)


async def test_an_oversized_token_is_refused_before_it_is_parsed() -> None:
    issuer = Issuer()
    with pytest.raises(InvalidToken):
        await validator(issuer, max_token_bytes=100).validate(issuer.sign())


@pytest.mark.parametrize(
    "profile",
    [
        {"issuer": ""},
        {"audience": frozenset[str]()},
        {"audience": frozenset({""})},
        {"algorithms": frozenset[str]()},
        {"algorithms": frozenset({"HS256"})},
        {"algorithms": frozenset({"ES256", "none"})},
    ],
    ids=str,
)
def test_a_profile_that_could_not_be_secure_is_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"profile needs|asymmetric"):
        token_profile(**profile)


async def test_a_statement_needs_neither_expiry_nor_subject_but_all_else() -> None:
    issuer = Issuer()
    statements = validator(issuer, token_types=frozenset({"secevent+jwt"}))
    header = {"typ": "secevent+jwt"}
    claims = await statements.signed_claims(issuer.sign(header, exp=None, sub=None, events={"a": {}}))
    assert claims["events"] == {"a": {}}
    for wrong in (
        issuer.sign(exp=None, sub=None),
        issuer.sign(header, exp=None, sub=None, iss="https://evil.test"),
        issuer.sign(header, exp=None, sub=None, aud="https://other.test"),
        issuer.sign(header, exp=None, sub=None, aud=None),
        Issuer().sign(header, exp=None, sub=None),
    ):
        with pytest.raises(InvalidToken):
            await statements.signed_claims(wrong)


async def test_a_user_may_be_named_by_another_claim() -> None:
    issuer = Issuer()
    by_oid = validator(issuer, claim_names=ClaimNames(subject=("oid",)))
    assert (await by_oid.validate(issuer.sign(oid="object-1"))).subject == "object-1"
    with pytest.raises(InvalidToken):
        await by_oid.validate(issuer.sign())
