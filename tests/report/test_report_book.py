"""The forms of a province: its own beside those of the hub, the rule sets it chose, when reports are due; every mistake is told at once."""

import copy
import pickle
from datetime import date
from pathlib import Path

import attrs
import pytest

from hub.config.reports import ReportSettings
from hub.domain.errors import ConfigurationFault
from hub.domain.local_time import HANOI
from hub.report.form.book import read_book, read_shipped_book
from hub.report.form.folder import FOLDER
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.form.workdays import Due

NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")
EDOC = (FOLDER / "edoc.toml").read_text("utf-8")
II06A = (FOLDER / "ii06a.toml").read_text("utf-8")


def faults(reports: ReportSettings) -> list[str]:
    with pytest.raises(ConfigurationFault) as fault:
        read_book(reports)
    return [mistake.path for mistake in fault.value.mistakes]


def own(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / f"{name}.toml").write_text(content, encoding="utf-8")
    return folder


def test_the_official_form_is_due_two_working_days_after_its_period():
    book = read_shipped_book()
    form = choose_form(book.forms, "ii06a", NOVEMBER)
    assert book.due(form, NOVEMBER) == Due(date(2026, 11, 17)), "14 November is a Saturday"
    assert book.due(form, DECEMBER) == Due(date(2026, 12, 16))
    assert book.due(form, parse_period("2027-02")) == Due(date(2027, 2, 16), sure=True), "Tết is over by then"
    assert book.due(choose_form(book.forms, "edoc", NOVEMBER), NOVEMBER) is None


def test_a_month_is_closed_at_the_hour_of_the_working_day_that_the_province_chose():
    def closes(working_day: int, hour: int) -> str:
        chosen = ReportSettings(close_working_day=working_day, close_hour=hour)
        at = read_book(chosen).find_automatic_closing_time(NOVEMBER)
        return at.astimezone(HANOI).strftime("%Y-%m-%d %H:%M")

    shipped = ReportSettings()
    assert closes(shipped.close_working_day, shipped.close_hour) == "2026-11-16 12:00", "14 November is a Saturday"
    assert closes(0, 0) == "2026-11-15 00:00"
    assert closes(2, 8) == "2026-11-17 08:00"


def test_a_due_day_that_rests_on_holidays_nobody_announced_may_move(tmp_path):
    days = own(tmp_path, days='[[off]]\nfirst = 2026-11-16\nvi = "Bão"\nen = "Storm"\nsure = false\n') / "days.toml"
    book = read_book(ReportSettings(workdays=days))
    assert book.due(choose_form(book.forms, "ii06a", NOVEMBER), NOVEMBER) == Due(date(2026, 11, 18), sure=False)


def test_a_form_of_the_provinces_own_takes_the_place_of_that_of_the_hub(tmp_path):
    changed = EDOC.replace("Thống kê văn bản điện tử", "Biểu của tỉnh")
    book = read_book(ReportSettings(forms=own(tmp_path, mine=changed)))
    assert choose_form(book.forms, "edoc", DECEMBER).title.vi == "Biểu của tỉnh"
    assert {form.id for form in book.forms} == {form.id for form in read_shipped_book().forms}


def test_a_form_that_no_hub_knows_is_added(tmp_path):
    book = read_book(ReportSettings(forms=own(tmp_path, mine=EDOC.replace('id = "edoc"', 'id = "tinh"'))))
    assert choose_form(book.forms, "tinh", DECEMBER).columns == choose_form(book.forms, "edoc", DECEMBER).columns


def test_the_chosen_rule_set_stands_beside_the_legal_basis():
    form = choose_form(read_book(ReportSettings(rule_sets={"ii06a": "apart"})).forms, "ii06a", DECEMBER)
    plain = choose_form(read_shipped_book().forms, "ii06a", DECEMBER)
    keys = [column.key for column in form.columns]
    assert [key for key in keys if key not in {column.key for column in plain.columns}] == ["withdrawn", "given_back"]
    assert form.rules_used is not None
    assert form.basis.vi == f"{plain.basis.vi}; {form.rules_used.vi}"
    assert form.basis.en == f"{plain.basis.en}; {form.rules_used.en}"


def test_every_mistake_of_forms_rule_sets_and_working_days_is_told_at_once(tmp_path):
    forms = tmp_path / "forms"
    forms.mkdir()
    own(forms, a=EDOC.replace("due_passed = true", "due_passed = 1"), b="x")
    days = own(tmp_path, days="[[off]]\nfirst = 1") / "days.toml"
    assert faults(ReportSettings(forms=forms, workdays=days)) == [
        "a.toml: column[21].due_passed",
        "b.toml",
        "days.toml: off[0].first",
        "days.toml: off[0].vi",
        "days.toml: off[0].en",
    ]


@pytest.mark.parametrize(
    ("rule_sets", "place"),
    [({"ii06a": "apart_"}, "ii06a.toml: rules"), ({"none": "apart"}, "reports.rule_sets.none")],
)
def test_a_rule_set_that_is_not_there_is_a_mistake(rule_sets, place):
    assert faults(ReportSettings(rule_sets=rule_sets)) == [place]


def test_what_cannot_be_read_is_a_mistake(tmp_path):
    assert faults(ReportSettings(workdays=tmp_path / "none.toml")) == ["hub.toml: reports.workdays"]
    (tmp_path / "x.toml").mkdir()
    assert faults(ReportSettings(forms=tmp_path)) == ["hub.toml: reports.forms"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (II06A.replace("due_working_days = 2", "due_working_days = 0"), "due_working_days"),
        (II06A.replace("due_working_days = 2", 'due_working_days = "2"'), "due_working_days"),
        (II06A.replace('number = "II.06a/VPCP/KSTT"', "number = 3"), "number"),
        (II06A.replace("first_number = 3", "first_number = 0"), "first_number"),
        (
            II06A.replace('without = ["finished", "refused", "handed-over"]\nopening', 'without = ["gone"]\nopening'),
            "column[3].without",
        ),
        (II06A.replace('ends = ["finished", "refused"]', 'ends = ["finished"]'), "column[6].milestones"),
        (II06A.replace('left = ["received"]', 'left = ["nothing"]'), "check[0].left"),
        (II06A.replace('after = "settled_late"', 'after = "nothing"'), "rule_set.apart.column[2].after"),
    ],
)
def test_a_mistake_in_a_form_of_its_own_has_its_place(content, place, tmp_path):
    assert content != II06A
    assert f"mine.toml: {place}" in faults(ReportSettings(forms=own(tmp_path, mine=content)))


def test_the_days_of_its_periods_are_those_of_the_provinces_cut_offs_and_else_the_15th():
    assert parse_period("2026-11", read_shipped_book().cuts) == NOVEMBER
    cuts = read_book(ReportSettings(cut_offs=((25, None), (15, date(2019, 2, 24))))).cuts
    assert parse_period("2026-11", cuts) == NOVEMBER
    assert [(month.first, month.last) for month in (parse_period(text, cuts) for text in ("2019-01", "2019-02"))] == [
        (date(2018, 12, 25), date(2019, 1, 24)),
        (date(2019, 1, 25), date(2019, 2, 14)),
    ]


def test_a_book_is_pickled_once_for_all_requests_that_take_it_along():
    known = read_shipped_book()
    assert read_shipped_book() is known  # until a form or the calendar changes
    first, second = (pickle.loads(pickle.dumps((known, "2026-11")))[0] for _ in range(2))
    assert first == known
    assert second is first  # and read once by each process that counts
    assert copy.deepcopy(known) == known


def test_a_changed_book_is_another_one():
    known = read_shipped_book()
    later = attrs.evolve(known, close_hour=known.close_hour + 1)
    assert pickle.loads(pickle.dumps(known)) == known
    assert pickle.loads(pickle.dumps(later)) == later != known
