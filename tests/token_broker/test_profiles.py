from pathlib import Path

import pytest

from tests.support.issuer import NOW
from token_broker.profile_file import SHIPPED, ProfileError, shipped_names
from token_broker.profiles import Relaxations, load_profile

LINES = (SHIPPED / "embedded.toml").read_text().splitlines()
WHY = "because this product cannot do otherwise"


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, 1) if line.startswith(text))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ours.toml"


def complaints(path: Path) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        load_profile(str(path))
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_profile_can_be_used(name: str) -> None:
    load_profile(name)


def test_the_products_are_those_that_are_documented() -> None:
    assert shipped_names() == [
        "auth0",
        "curity",
        "embedded",
        "entra",
        "hydra",
        "keycloak",
        "oidc-provider",
        "okta",
        "zitadel",
    ]


def test_nothing_is_relaxed_for_the_embedded_server() -> None:
    assert load_profile("embedded").relaxations == Relaxations()


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("mode =", 'mode = "phantom"', "introspection.mode: Input should be 'phantom_204', "),
        ("adapter =", 'adaptor = "rfc8693"', "exchange.adaptor: Extra inputs are not permitted"),
        ("algorithms =", 'algorithms = ["HS256"]', "tokens.algorithms: Value error, must be asymmetric"),
        ("algorithms =", "algorithms = []", "tokens.algorithms: Value error, must be asymmetric"),
        ("delegation =", "delegation = [1]", "claims.delegation.0: Input should be a valid string"),
        ("reaches_derived_tokens =", "reaches_derived_tokens = 7", "revocation.reaches_derived_tokens: "),
    ],
)
def test_a_wrong_value_is_named_with_its_line(path: Path, line: str, instead: str, complaint: str) -> None:
    number = line_of(line)
    path.write_text("\n".join([*LINES[: number - 1], instead, *LINES[number:]]))
    assert any(found.startswith(f"{number}: {complaint}") for found in complaints(path))


def test_a_missing_key_is_named_with_the_line_of_its_table(path: Path) -> None:
    number = line_of("adapter =")
    path.write_text("\n".join([*LINES[: number - 1], *LINES[number:]]))
    assert complaints(path) == [f"{line_of('[exchange]')}: exchange.adapter: Field required"]


def test_all_that_is_wrong_is_said_at_once(path: Path) -> None:
    path.write_text('extends = "embedded"\nunknown = 1\n[client]\nauthentication = "none"\n')
    assert [complaint.split(":")[0] for complaint in complaints(path)] == ["4", "2"]


@pytest.mark.parametrize(
    ("base", "changes", "complaint"),
    [
        ("embedded", '[exchange]\nscope = "default"', "3: exchange.scope: in_target and default go with"),
        ("embedded", '[exchange]\ntarget = "scope"', "exchange.scope: in_target and default go with"),
        ("entra", '[exchange]\ntarget = "audience"\nscope = "send"', "3: exchange.target: entra_obo names"),
        ("entra", '[exchange]\nactor = "caller"', "3: exchange.actor: only rfc8693 can name an actor"),
        ("embedded", '[client]\nauthentication = "client_secret_basic"', "exchange.actor: an actor token is"),
        ("keycloak", '[tokens]\nsubject = "opaque"', "introspection.mode: local_jwt needs"),
        ("oidc-provider", '[tokens]\nsubject = "jwt"', "introspection.mode: for tokens that are JWTs"),
        ("embedded", "[introspection]\nactivity = true", "3: introspection.activity: is for local_jwt"),
        ("auth0", '[exchange]\nadapter = "assertion_7523"', "3: exchange.adapter: with assertion_7523 the"),
        ("hydra", "[revocation]\nreaches_derived_tokens = true", "3: revocation.reaches_derived_tokens: tok"),
        (
            "embedded",
            "[revocation]\nreaches_derived_tokens = false",
            "3: revocation.reaches_derived_tokens: ",
        ),
        ("embedded", '[claims]\nsubject = ["oid"]', "3: claims.subject: this and relaxations.other_subject"),
        ("embedded", "[tokens]\ntypes = []", "3: tokens.types: this and relaxations.any_token_type"),
        ("keycloak", "[introspection]\nactivity = false", "introspection.mode: this and relaxations.revocat"),
        ("embedded", f'[relaxations]\nrevocation_unseen = "{WHY}"', "introspection.mode: this and relaxati"),
        (
            "embedded",
            '[relaxations]\noutlives_subject = "yes"',
            "3: relaxations.outlives_subject: String sho",
        ),
        ("embedded", f'[relaxations]\nsignature = "{WHY}"', "3: relaxations.signature: Extra inputs are not"),
    ],
)
def test_what_contradicts_itself_or_relaxes_without_a_reason_is_refused(
    path: Path, base: str, changes: str, complaint: str
) -> None:
    path.write_text(f'extends = "{base}"\n{changes}\n')
    assert any(complaint in found for found in complaints(path))


def test_a_target_has_its_own_name_unless_the_profile_has_another(path: Path) -> None:
    path.write_text(
        'extends = "embedded"\n[targets."https://api.example"]\nvalue = "api://1234"\naud = "1234"\n'
    )
    profile = load_profile(str(path))
    assert (profile.target("https://api.example").value, profile.target("https://api.example").aud) == (
        "api://1234",
        "1234",
    )
    assert profile.target("https://other.example").aud == "https://other.example"


def test_memory_is_believed_for_as_long_as_the_profile_says() -> None:
    assert load_profile("embedded").believed_until(NOW + 900, NOW) == NOW + 900
    assert load_profile("keycloak").believed_until(NOW + 900, NOW) == NOW + 60
    assert load_profile("keycloak").believed_until(NOW + 5, NOW) == NOW + 5
