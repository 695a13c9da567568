from demo.html_forms import forms_of, text_of

CONSENT = """
<!doctype html><title>Consent</title><style>p { color: red }</style>
<h1>Demo agent</h1><p>wants to   read stocks</p>
<form method="post" action="consent">
  <input type="hidden" name="csrf" value="a&amp;b">
  <input type="checkbox" name="remember" value="yes" checked>
  <input type="checkbox" name="more" value="yes">
  <input name="gone" value="1" disabled>
  <select name="for"><option value="1">a day</option><option value="7" selected>a week</option></select>
  <textarea name="note">hello</textarea>
  <button name="decision" value="approve">Allow</button>
  <button name="decision" value="cancel">Cancel</button>
  <button type="button" name="help">?</button>
</form>
<form action="/logout"><input type="submit" value="Somebody else"></form>
"""


def test_a_form_sends_its_fields_with_the_values_a_browser_would() -> None:
    form = forms_of(CONSENT)[0]
    assert (form.method, form.action) == ("post", "consent")
    assert {control.name: control.value for control in form.fields} == {
        "csrf": "a&b",
        "remember": "yes",
        "for": "7",
        "note": "hello",
    }


def test_a_button_is_found_by_what_it_says_or_sends() -> None:
    form, other = forms_of(CONSENT)
    approve = form.button("approve", "allow")
    cancel = form.button("deny", "cancel")
    assert approve is not None
    assert approve.value == "approve"
    assert cancel is not None
    assert cancel.value == "cancel"
    assert form.button("help") is None
    assert other.button("approve") is None
    assert other.method == "get"


def test_a_field_is_found_by_type_autocomplete_or_name_but_never_if_hidden() -> None:
    form = forms_of(
        '<form><input type="hidden" name="email"><input type="email" name="who">'
        '<input name="x" autocomplete="section-a one-time-code"></form>'
    )[0]
    by_kind = form.field_for(kind="email", names=frozenset({"email"}))
    by_autocomplete = form.field_for(autocomplete="one-time-code", names=frozenset())
    assert by_kind is not None
    assert by_kind.name == "who"
    assert by_autocomplete is not None
    assert by_autocomplete.name == "x"
    assert form.field_for(names=frozenset({"email"})) is None


def test_the_text_of_a_page_is_what_a_reader_sees() -> None:
    assert text_of(CONSENT).startswith("Demo agent wants to read stocks")
    assert "color" not in text_of(CONSENT)
