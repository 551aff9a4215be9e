"""Declared beside counted: exactly the planted cells come back, with the facts behind them, whatever the history."""

import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.model import Fact
from hub.report.counting import counting, reconciling
from hub.report.counting.counting import Report, Row
from hub.report.counting.listing import FactListing
from hub.report.counting.reconciling import (
    MESSAGES,
    CellEvidence,
    CellVerdict,
    find_cell_evidence,
    judge_declared_number,
    reconcile_declaration,
)
from hub.report.form.column import ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.report.workbooks import template_workbook
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.units.unit_names import UnitNames
from tests.declaring import declaration, filled

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
PERIOD = parse_period("2026-11")
NOW = PERIOD.end + timedelta(days=1)
UNITS = ("H55", "H55.13", "H55.13.1", "H55.01")
KEYS = [column.key for column in EDOC.columns if column.kind is not ColumnKind.TIME]
TYPED = [column.key for column in EDOC.columns if template_workbook.is_typed_column(column)]

FACTS = st.lists(
    st.builds(
        Fact,
        unit=st.sampled_from(UNITS),
        service=st.just("documents"),
        key=st.integers(0, 9).map(str),
        milestone=st.sampled_from(["sent", "received", "status-03", "status-06", "failed", "sent-recall"]),
        at=st.integers(-5, 35).map(lambda days: PERIOD.start + timedelta(days=days)),
        message=st.integers(0, 30).map(lambda number: f"m{number}"),
        outside=st.booleans(),
        due=st.none() | st.just(PERIOD.last),
    ),
    max_size=30,
    unique_by=lambda fact: (fact.unit, fact.key, fact.milestone),
)


def counted(facts):
    return counting.count_report(EDOC, facts, PERIOD, NOW, UNITS)


def cells(report: Report, keys=KEYS):
    """Return every cell of the report: the total's, then each row's."""
    rows = [("", report.total), *((row.unit, row) for row in report.rows)]
    return {(unit, key): row.numbers[key] for unit, row in rows for key in keys}


def compared(said, facts):
    report = counted(facts)
    with closing(FactListing([column.key for column in EDOC.columns])) as listing:
        for column, fact in counting.place_facts(EDOC, facts, PERIOD, NOW, UNITS):
            listing.take(column.key, fact)
        return reconcile_declaration(said, report, lambda wanted: find_cell_evidence(EDOC, listing, wanted))


@settings(deadline=None)
@given(FACTS, st.randoms(use_true_random=False))
@pytest.mark.slow
def test_ten_planted_errors_come_back_as_exactly_those_ten_cells(facts, chance: random.Random):
    right = cells(counted(facts))
    planted = {cell: right[cell] + chance.randint(1, 9) for cell in chance.sample(sorted(right), 10)}
    found = compared(declaration({**right, **planted}, unit="H55"), facts)
    assert {(cell.unit, cell.column): cell.declared for cell in found.differing} == planted
    assert [cell.difference for cell in found.differing] == [
        planted[cell.unit, cell.column] - right[cell.unit, cell.column] for cell in found.differing
    ]
    assert found.cells[:10] == found.differing, "those that are not equal come first"
    assert len(found.cells) == len(right)
    assert found.undeclared == 0


@settings(deadline=None)
@given(FACTS, st.randoms(use_true_random=False))
@pytest.mark.slow
def test_the_facts_behind_a_cell_are_those_that_explain_its_number(facts, chance: random.Random):
    right = cells(counted(facts))
    wrong = {cell: number + 1 for cell, number in right.items()}
    for cell in compared(declaration(wrong, unit="H55"), facts).cells:
        units = UNITS if not cell.unit else (cell.unit,)
        facts_behind = dict.fromkeys(counting.find_counted_facts(EDOC, cell.column, facts, PERIOD, NOW, units))
        messages = tuple(dict.fromkeys(fact.message for fact in facts_behind))
        assert cell.behind == CellEvidence(len(facts_behind), len(messages), messages[:MESSAGES])
        assert cell.verdict is (CellVerdict.DIFFERS if facts_behind else CellVerdict.NO_EVIDENCE)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
@pytest.mark.slow
def test_ten_errors_typed_into_the_workbook_come_back_as_those_ten(chance: random.Random):
    facts = [
        Fact(
            unit=chance.choice(UNITS),
            service="documents",
            key=str(number),
            milestone=chance.choice(["sent", "received", "status-03"]),
            at=PERIOD.start + timedelta(days=chance.randrange(30)),
            message=f"m{number}",
        )
        for number in range(20)
    ]
    report = counted(facts)
    right = {(unit, key): number for (unit, key), number in cells(report, TYPED).items() if unit}
    planted = {cell: right[cell] + 1 for cell in chance.sample(sorted(right), 10)}
    book = filled(template_workbook.write_template_workbook(EDOC, PERIOD, UNITS, {}), {**right, **planted})
    nobody = UnitNames.of((), (), (), PERIOD.first, PERIOD.last)
    found = compared(read_declared_workbook(book, DeclaredReport(EDOC, PERIOD, UNITS), nobody), facts)
    assert {(cell.unit, cell.column): cell.declared for cell in found.differing} == planted
    assert len(found.cells) == len(right)


def test_a_unit_that_declares_work_nobody_saw_has_no_evidence_and_one_that_forgets_some_differs():
    fact = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=PERIOD.start, message="m1")
    found = compared(declaration({("H55.13", "sent"): 0, ("H55.01", "sent"): 2, ("H55.77", "sent"): 3}), [fact])
    assert [(cell.unit, cell.difference, cell.verdict.value) for cell in found.cells] == [
        ("H55.13", -1, "differs"),
        ("H55.01", 2, "no-evidence"),
        ("H55.77", 3, "no-evidence"),
    ]
    assert found.cells[0].behind == CellEvidence(facts=1, messages=1, first=("m1",))


def test_cells_that_were_forgotten_are_counted_in_the_rows_that_were_told():
    facts = [
        Fact(unit=unit, service="documents", key="1", milestone="sent", at=PERIOD.start, message="m1") for unit in UNITS
    ]
    found = compared(declaration({("H55.13", "sent"): 1}), facts)
    row = next(row for row in found.report.rows if row.unit == "H55.13")
    assert found.undeclared == sum(1 for key in KEYS if row.numbers[key]) - 1
    assert found.undeclared > 0


def test_a_manual_line_is_kept_beside_and_never_compared():
    found = compared(declaration({("H55.13", "sent"): 0, ("", "paper_only"): 7}), [])
    assert [(line.column, line.figure) for line in found.manual] == [("paper_only", 7)]
    assert [cell.column for cell in found.cells] == ["sent"]


@pytest.mark.parametrize(
    ("declared", "figure", "evidence", "verdict"),
    [
        (Decimal("98.5"), Decimal("98.50"), True, "equal"),
        (None, None, False, "equal"),
        (None, Decimal("1.00"), True, "differs"),
        (Decimal("1.00"), None, False, "no-evidence"),
        (0, None, False, "differs"),
        (3, 3, False, "equal"),
    ],
)
def test_ratios_are_equal_by_value_and_none_is_equal_to_none_alone(declared, figure, evidence, verdict):
    assert judge_declared_number(declared, figure, evidence=evidence).value == verdict


def test_a_difference_with_what_is_no_number_is_none():
    cell = reconciling.ReconciledCell(unit="", column="x", declared=None, counted=3, verdict=CellVerdict.DIFFERS)
    assert cell.difference is None
    assert attrs.evolve(cell, declared=Decimal("3.25")).difference == Decimal("0.25")


def test_a_report_with_ratios_is_compared_as_well():
    ratio = Report(
        form=attrs.evolve(EDOC, columns=EDOC.columns[:2]),
        period=PERIOD,
        made_at=datetime(2026, 12, 1, tzinfo=UTC),
        total=Row("H55", {"sent_inside": Decimal("50.00"), "sent_outside": None}, {}),
        rows=(),
    )
    assert isinstance(ratio.form, Form)
    said = declaration({("", "sent_inside"): Decimal(50), ("", "sent_outside"): None}, unit="H55")
    assert reconcile_declaration(said, ratio, lambda _wanted: {}).differing == ()
