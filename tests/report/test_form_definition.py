"""A form goes along with its report, whole, and comes back the same; what could not be counted by is refused."""

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.report.form import definition
from hub.report.form.folder import read_form_folder

FORMS = {form.id: form for form in read_form_folder()}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_comes_back_as_it_was(form):
    written = definition.write_definition(form)
    assert definition.read_definition(written) == form
    assert definition.write_definition(definition.read_definition(written)) == written


def change(**words: object) -> bytes:
    said = json.loads(definition.write_definition(FORMS["edoc"]))
    return json.dumps(said | words).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{", b"\xff", b"null", b"[" * 100_000, b'{"id": "x"}', change(id=1), change(by_day="no"), change(columns=[]),
        change(nothing=1), change(since="2026-13-01"), change(columns=[{"key": "a", "kind": "whatever", "heading": {"vi": "", "en": ""}}]),
        change(parameters={}), change(columns="x"),
        change(columns=[{"key": "a", "kind": "formula", "heading": {"vi": "", "en": ""}, "sum": ["a"]}]),
        change(columns=[{"key": "a", "kind": "formula", "heading": {"vi": "", "en": ""}, "sum": ["b"]}]),
    ],
)  # fmt: skip
def test_what_could_not_be_counted_by_is_refused(content):
    with pytest.raises(ValueError, match=r"."):
        definition.read_definition(content)


def test_formulas_that_contain_one_another_are_refused():
    form = FORMS["edoc"]
    columns = [attrs.evolve(column, sum=("total",)) if column.key == "sent" else column for column in form.columns]
    with pytest.raises(ValueError, match="computed from itself"):
        definition.check_form(attrs.evolve(form, columns=tuple(columns)))


@pytest.mark.parametrize("named", ["accounts", "gone"])
def test_a_peak_until_what_is_no_flow_is_refused(named):
    form = FORMS["mail"]
    columns = [attrs.evolve(column, until=named) if column.key == "active" else column for column in form.columns]
    with pytest.raises(ValueError, match=f"active: {named} is no flow"):
        definition.check_form(attrs.evolve(form, columns=tuple(columns)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda more: st.lists(more) | st.dictionaries(st.text(), more),
    )
)
@pytest.mark.slow
def test_nothing_but_a_value_error_comes_of_any_json(said):
    with pytest.raises(ValueError, match=r"."):
        definition.read_definition(json.dumps(said).encode())
