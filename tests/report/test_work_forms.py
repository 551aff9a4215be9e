"""Documents with a due day, and dossiers, as work items: the forms `congviec-vanban` and `congviec-hoso`; and the words they use."""

from datetime import UTC, date, datetime, timedelta

import attrs
import pytest

from hub.domain.errors import ConfigurationFault
from hub.domain.model import DOCUMENTS, Fact
from hub.report.counting.counting import count_report
from hub.report.form.folder import FOLDER, read_form_folder
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml

FORMS = {form.id: form for form in read_form_folder()}
DECEMBER, JANUARY = parse_period("2026-12"), parse_period("2027-01")
UNIT, DUE = "H55.13", date(2026, 11, 20)


def told(milestone, day, key="1", due=DUE, service=DOCUMENTS):
    """Return a fact that was recorded at noon of *day* of November 2026."""
    at = datetime(2026, 11, 1, 5, tzinfo=UTC) + timedelta(days=day - 1)
    return Fact(
        unit=UNIT,
        service=service,
        key=key,
        milestone=milestone,
        at=at,
        message=f"{milestone}{day}{key}",
        due=due,
        day=None,
    )


def count(form, facts, period=DECEMBER):
    numbers = count_report(FORMS[form], facts, period, period.end, [UNIT]).total.numbers
    return {key: number for key, number in numbers.items() if number}


def test_a_document_is_work_only_if_it_has_a_due_day():
    with_day = [told("received", 16), told("status-06", 18)]
    assert count("congviec-vanban", with_day) == {"assigned": 1, "total": 1, "done": 1}
    assert count("congviec-vanban", [attrs.evolve(each, due=None) for each in with_day]) == {}


def test_what_is_completed_after_the_due_day_is_late_and_on_it_is_not():
    assert count("congviec-vanban", [told("received", 16), told("status-06", 20)]).get("late", 0) == 0
    assert count("congviec-vanban", [told("received", 16), told("status-06", 21)])["late"] == 1


def test_an_open_document_is_carried_over_and_overdue():
    facts = [
        told("received", 16),
        told("received", 17, "2", due=None),
        told("received", 18, "3"),
        told("status-02", 19, "3"),
    ]
    assert count("congviec-vanban", facts) == {"assigned": 2, "total": 2, "refused": 1, "open": 1, "overdue": 1}
    assert count("congviec-vanban", facts, JANUARY) == {"carried_over": 1, "total": 1, "open": 1, "overdue": 1}


def test_a_status_about_a_document_that_the_unit_never_received_is_no_work():
    assert count("congviec-vanban", [told("status-06", 18)]) == {}


def test_dossiers_are_work_by_the_rules_of_ii06a():
    facts = [
        told("received", 16, "a", service="dossiers"),
        told("finished", 25, "a", due=None, service="dossiers"),
        told("received", 16, "b", service="dossiers"),
        told("refused", 17, "b", due=None, service="dossiers"),
        told("received", 17, "c", service="dossiers"),
    ]
    assert count("congviec-hoso", facts) == {
        "assigned": 3, "total": 3, "done": 2, "late": 1, "open": 1, "overdue": 1
    }  # fmt: skip
    report = count_report(FORMS["congviec-hoso"], facts, DECEMBER, DECEMBER.end, [UNIT])
    assert report.findings == ()


TEXT = (FOLDER / "congviec.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('first_of = ["done", "withdrawn"]', 'first_of = ["withdrawn"]'),
        ('first_of = ["done", "withdrawn"]', 'first_of = ["done", "excused"]'),
        ('first_of = ["done", "withdrawn"]', 'first_of = ["done", "dnoe"]'),
    ],
)
def test_ends_of_which_the_first_counts_are_ends_and_those_of_the_column(was, becomes):
    with pytest.raises(ConfigurationFault, match="first_of"):
        read_form_toml(TEXT.replace(was, becomes, 1).encode(), "congviec.toml")
