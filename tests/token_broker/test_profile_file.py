import tomllib
from pathlib import Path

import pytest

from token_broker.profile_file import ProfileError, line_numbers, read_profile, shipped_names

DOCUMENT = '''# a comment with a = "b"
first = 1

[table]   # the table
"quoted key" = [
  "several",  # lines = 3
  "[table]",
]
text = """
first = 2
[other]
"""
dotted.name = { inner = 1 }

[targets."https://api.example/a#b"]
value = "x"
'''


def test_every_key_has_its_line() -> None:
    assert line_numbers(DOCUMENT) == {
        ("first",): 2,
        ("table",): 4,
        ("table", "quoted key"): 5,
        ("table", "text"): 9,
        ("table", "dotted"): 13,
        ("table", "dotted", "name"): 13,
        ("table", "dotted", "name", "inner"): 13,
        ("targets",): 15,
        ("targets", "https://api.example/a#b"): 15,
        ("targets", "https://api.example/a#b", "value"): 16,
    }


@pytest.mark.parametrize("name", shipped_names())
def test_the_lines_of_every_shipped_profile_are_found(name: str) -> None:
    document = read_profile(name)
    text = document.path.read_text().splitlines()
    for key, place in document.places.items():
        assert key[-1] in text[int(place.rpartition(":")[2]) - 1]


def test_a_file_extends_a_shipped_profile_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('extends = "keycloak"\n[tokens]\nalgorithms = ["PS256"]\n')
    document = read_profile(str(path))
    shipped = read_profile("keycloak")
    assert document.values == shipped.values | {
        "tokens": shipped.values["tokens"] | {"algorithms": ["PS256"]}
    }
    assert document.place(("tokens", "algorithms")) == f"{path}:3"
    assert document.place(("tokens", "subject")) == shipped.place(("tokens", "subject"))


def test_a_missing_key_is_looked_for_in_its_table() -> None:
    document = read_profile("embedded")
    assert document.place(("exchange", "missing")) == document.place(("exchange",))
    assert document.place(("missing",)) == f"{document.path}:1"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[client\n", "ours.toml: not TOML: Expected ']' at the end of a table declaration (at line 1"),
        ('a = 1\nextends = "nothing"\n', "ours.toml:2: extends: must be one of auth0, curity, "),
        ("\nextends = 1\n", "ours.toml:2: extends: must be the name"),
        (None, "ours.toml: cannot be read: FileNotFoundError"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "ours.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProfileError, match=f"^{tmp_path}/") as caught:
        read_profile(str(path))
    assert complaint in str(caught.value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="nor one of auth0, curity, embedded, entra, hydra, keycloak"):
        read_profile("keyclock")


def test_the_shipped_profiles_are_valid_toml_of_the_checkout() -> None:
    checkout = Path(__file__).parents[2] / "infra" / "as_profiles"
    assert shipped_names() == sorted(path.stem for path in checkout.glob("*.toml"))
    assert all(tomllib.loads(path.read_text()) for path in checkout.glob("*.toml"))
