"""Reading a bearer token and challenging for one (RFC 6750)."""

import pytest

from authcore.bearer import bearer_token
from authcore.challenge import bearer_challenge
from authcore.errors import InsufficientScope, InvalidRequest, InvalidToken, MissingCredentials


def test_the_scheme_is_read_in_any_case() -> None:
    for value in (b"Bearer abc", b"bearer abc", b"BEARER  abc "):
        assert bearer_token([(b"authorization", value)]) == "abc"


@pytest.mark.parametrize(
    "value", [b"Bearer a b", b"Bearer a,b", b"Bearer \xff", b"Bearer ", b"Bearer a\x00", b"Bearer =a"]
)
def test_what_is_not_a_token_is_invalid(value: bytes) -> None:
    with pytest.raises(InvalidToken):
        bearer_token([(b"authorization", value)])


def test_no_header_or_another_scheme_is_no_credentials_and_two_headers_are_an_error() -> None:
    for headers in ([], [(b"authorization", b"Basic abc")], [(b"authorization", b"")]):
        with pytest.raises(MissingCredentials):
            bearer_token(headers)
    with pytest.raises(InvalidRequest):
        bearer_token([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")])


def test_a_challenge_without_credentials_has_no_error() -> None:
    assert bearer_challenge(MissingCredentials()) == "Bearer"
    assert bearer_challenge(MissingCredentials("text"), scope=["a", "b"]) == 'Bearer scope="a b"'


@pytest.mark.requirement("challenge-quoting")
def test_all_parameters_are_quoted_and_cannot_break_out() -> None:
    error = InvalidToken('x", scope="admin\\\r\nSet-Cookie: a=b é')
    challenge = bearer_challenge(error, resource_metadata="https://m.test/a")
    assert challenge == (
        'Bearer error="invalid_token", error_description="x?, scope=?admin???Set-Cookie: a=b ?", '
        'resource_metadata="https://m.test/a"'
    )


def test_insufficient_scope_names_all_scopes_of_the_operation() -> None:
    error = InsufficientScope("More is needed", scope=frozenset({"b", "a"}))
    assert 'scope="a b"' in bearer_challenge(error, scope=["c"])
