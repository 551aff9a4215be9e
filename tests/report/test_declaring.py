"""What a unit declares: which cells may be told, how each mistake is named, and that what is written is what is read."""

from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected, find_error_sentence
from hub.report.counting import declaring
from hub.report.counting.declaring import Declaration, DeclaredCell
from hub.report.form.book import read_shipped_book
from hub.report.form.column import ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.period import CutOff, Cuts
from hub.soap import wsdl
from tests.declaring import declaration, octets

NOON = datetime(2026, 11, 25, 5, tzinfo=UTC)
EDOC = next(form for form in read_form_folder() if form.id == "edoc")
NUMBERS = [column.key for column in EDOC.columns if column.kind is not ColumnKind.TIME]
GOOD = declaration({("", "sent"): 3, ("H55.13", "sent"): 2, ("H55.13.1", "sent"): 1, ("", "paper_only"): 4}, by="Lan")


def refused(said, at=NOON):
    with pytest.raises(Rejected) as caught:
        declaring.read_declaration(octets(said) if isinstance(said, Declaration) else said, at, "m")
    for problem in caught.value.problems:
        find_error_sentence(problem.code)
    return [(problem.code, str(problem.detail)) for problem in caught.value.problems]


def test_a_declaration_is_of_its_unit_makes_no_fact_and_names_the_units_it_tells_of():
    record = declaring.read_declaration(octets(GOOD), NOON, "m")
    assert (record.kind, record.sender, record.facts) == ("declaration", "H55.13", ())
    assert record.told == ("H55.13", "H55.13.1")
    assert record.keys == (declaring.make_declaration_key("edoc", "2026-11"),)
    assert record.kind in declaring.make_reports_service().undelivered_kinds, "it goes to no other system"


def test_a_period_that_has_not_begun_by_the_provinces_cut_off_is_declared_by_nobody():
    by_28 = attrs.evolve(read_shipped_book(), cuts=Cuts((CutOff(28),)))
    december = octets(attrs.evolve(GOOD, period="2026-12"))
    assert declaring.read_declaration(december, NOON, "m").sender == "H55.13"
    with pytest.raises(Rejected) as caught:
        declaring.read_declaration(december, NOON, "m", lambda: by_28)
    assert [(problem.code, str(problem.detail)) for problem in caught.value.problems] == [
        ("R.Period", "2026-12: it begins on 2026-11-28")
    ]


TEXTS = st.text("abc xyzàấ", max_size=20).map(lambda text: " ".join(text.split()))
FIGURES = st.integers(0, 999_999_999_999) | st.none() | st.decimals(0, 10**6, places=2)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            DeclaredCell,
            unit=st.sampled_from(["", "H55.13", "H55.13.1"]),
            column=st.sampled_from(["sent", "received", "x"]),
            figure=FIGURES.map(lambda each: int(each) if isinstance(each, Decimal) and each == int(each) else each),
            note=TEXTS,
        ),
        min_size=1,
    ),
    TEXTS,
    TEXTS,
)
@pytest.mark.slow
def test_what_is_written_is_what_is_read_and_keeps_the_contract(cells, by, note):
    cells.sort(key=lambda cell: cell.unit)
    said = Declaration(unit="H55.13", form="edoc", period="2026-11", cells=tuple(cells), by=by, note=note)
    assert declaring.parse_declaration(octets(said)) == said
    wsdl.load_contract("reports").validate(etree.fromstring(octets(said)))


def test_a_column_a_form_and_a_period_that_there_are_not_are_named():
    code, detail = refused(declaration({("H55.13", "sennt"): 3}))[0]
    assert (code, detail.partition(":")[0]) == ("column-unknown", "H55.13, sennt")
    assert "received_inside" in detail
    assert "paper_only" in detail
    assert refused(declaration({("", "last_update"): 3}))[0][0] == "column-unknown", "a moment is no figure"
    assert refused(attrs.evolve(GOOD, form="nothing"))[0][0] == "form-unknown"
    assert refused(attrs.evolve(GOOD, period="thang 11"))[0] == ("period-unreadable", "thang 11")
    assert refused(attrs.evolve(GOOD, period="2026-q4"))[0] == ("period-unreadable", "2026-q4: write 2026-Q4")
    assert refused(attrs.evolve(GOOD, period="2027-05"))[0] == ("R.Period", "2027-05: it begins on 2027-04-15")


def test_every_cell_that_is_wrong_is_told_at_once_by_its_unit_and_column():
    said = declaration({("", "sent"): Decimal("1.5"), ("H55.13", "received"): None, ("H55.13", "x"): 1})
    again = attrs.evolve(said, cells=(*said.cells, DeclaredCell(column="sent", figure=1)))
    found = dict(refused(again))
    assert found["T.Figures[1].Cell[1].Number"] == "sent: 1.5 is not a whole number"
    assert found["M.Figures[1].Cell[2]"] == "sent: it occurs twice"
    assert found["N.Figures[2].Cell[1].Number"] == "H55.13, received: it is empty"
    assert found["column-unknown"].startswith("H55.13, x: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [("-1", "R"), ("1000000000000", "R"), ("1.005", "R"), ("1e3", "T"), ("một", "T"), ("NaN", "T"), ("1" * 5000, "T")],
)
def test_a_number_that_is_none_is_refused_where_no_schema_has_judged_it(number, code):
    content = octets(declaration({("H55.13", "sent"): 7})).replace(b">7<", f">{number}<".encode())
    assert refused(content)[0][0] == f"{code}.Figures[1].Cell[1].Number"


@pytest.mark.parametrize(
    "content", [b"", b"<a/>", b"PK", b"<!DOCTYPE a><a/>", b'<Report xmlns="urn:lienthong:report:1"/>']
)
def test_what_is_no_declaration_is_refused(content):
    assert refused(content)


def test_a_declaration_without_a_cell_is_refused():
    assert ("N.Figures", "there is no cell") in refused(declaration({}))
