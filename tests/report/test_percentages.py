"""No percentage of any form is above 100, whatever was told, unless its form says that it may be."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.model import Fact
from hub.report.counting.counting import Cells, assemble_report, count_report
from hub.report.counting.deriving import derive_numbers
from hub.report.counting.posting import OPEN, ClosedMonth, ClosedMonths
from hub.report.form.column import MILESTONES, ColumnKind
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.period import parse_period

FORMS = {form.id: form for form in read_form_folder()}
WITH_RATIOS = [form for form in FORMS.values() if any(column.kind is ColumnKind.RATIO for column in form.columns)]
NOVEMBER, DECEMBER = map(parse_period, ("2026-11", "2026-12"))
CLOSED = ClosedMonths((ClosedMonth(NOVEMBER, NOVEMBER.end + timedelta(days=2)),))
AFTER = datetime(2027, 3, 1, tzinfo=UTC)
DAYS = st.dates(date(2026, 10, 10), date(2026, 12, 20))
ATTRIBUTES = st.sampled_from(
    [(), (("channel", "online"),), (("channel", "direct"),), (("outcome", "done"),), (("outcome", "withdrawn"),)]
)


def _facts(services):
    """Draw facts of some keys, in any order: each milestone of a key once."""

    @st.composite
    def drawn(draw):
        found = {}
        for number in range(draw(st.integers(0, 25))):
            service = draw(st.sampled_from(services))
            name = draw(st.sampled_from("abc")), draw(st.sampled_from(sorted(MILESTONES[service])))
            found[service, *name] = Fact(
                unit="U",
                service=service,
                key=name[0],
                milestone=name[1],
                message=f"m{number}",
                at=datetime.combine(draw(DAYS), datetime.min.time(), UTC),
                day=draw(st.none() | DAYS),
                due=draw(st.none() | DAYS),
                outside=draw(st.booleans()),
                signature=draw(st.sampled_from(["valid", "unsigned"])),
                attributes=draw(ATTRIBUTES),
            )
        return list(found.values())

    return drawn()


def _numbers(form, facts, period, books):
    if not form.bases:
        return count_report(form, facts, period, AFTER, ("U",), books).total.numbers
    rows = {
        base: {"U": count_report(FORMS[base], facts, period, AFTER, ("U",), books).total.numbers} for base in form.bases
    }
    cells = {"U": Cells(derive_numbers(form, "U", rows))}
    return assemble_report(form, period, AFTER, ("U",), cells).total.numbers


@pytest.mark.parametrize("form", WITH_RATIOS, ids=lambda form: form.id)
@given(data=st.data())
@pytest.mark.slow
def test_a_percentage_is_at_most_100_unless_its_form_says_that_it_may_be_more(form: Form, data: st.DataObject) -> None:
    services = sorted({FORMS[base].service for base in form.bases} | ({form.service} if form.service else set()))
    facts = data.draw(_facts(services))
    period, books = data.draw(st.sampled_from([NOVEMBER, DECEMBER])), data.draw(st.sampled_from([OPEN, CLOSED]))
    numbers = _numbers(form, facts, period, books)
    for column in form.columns:
        if column.kind is ColumnKind.RATIO and not column.may_exceed:
            number = numbers[column.key]
            assert number is None or Decimal(0) <= Decimal(number) <= 100, column.key
