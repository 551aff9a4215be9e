"""Points of each officer: the rule set `points` of `congviec`, whose table has a row for each officer of a unit."""

from datetime import UTC, datetime

import pytest

from hub.audit.documents import audit_arithmetic
from hub.report.counting.counting import count_report
from hub.report.counting.table import divide_table
from hub.report.form.column import WORKED_OUT
from hub.report.form.definition import read_definition, write_definition
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.output.outputs import write_csv_report, write_json_report
from hub.report.output.validating import validate_report
from hub.report.signed.element import build_report_element
from hub.report.signed.sealed import read_sealed_report
from hub.security import signing
from tests.officials import HUB
from tests.services.test_shipped_work import DONE_LATE, item, judge, judged, read, returned

UNIT = "H55.13"
FORM = next(form for form in read_form_folder(rule_sets={"congviec": "points"}) if form.id == "congviec")
DECEMBER = parse_period("2026-12")
IN_TIME = "<Done>2026-11-18</Done>"
FACTS = [
    *read(item("V1", more=IN_TIME, officer="CB-01")),
    *read(item("V2", "1.5", more=DONE_LATE, officer="CB-01")),
    *read(item("V3", "2", more=IN_TIME, officer="CB-02")),
    *judge(judged("V3", "2", more=returned(1) + returned(2))),
    *read(item("V4", "0.5")),
]


@pytest.fixture(scope="module")
def report():
    counted = count_report(FORM, FACTS, DECEMBER, datetime(2027, 1, 5, tzinfo=UTC), [UNIT])
    return divide_table(counted, ("officer",), {})


def test_each_officer_has_points_and_the_unit_those_of_all_items(report):
    keys = ("quantity", "quality", "progress", "results")
    points = {row.path[0]: tuple(str(row.row.numbers[key]) for key in keys) for row in report.divided}
    assert points == {
        "CB-01": ("100.00", "100.00", "85.00", "66.50"),  # 2.5 done, a quarter of 1.5 lost
        "CB-02": ("100.00", "50.00", "100.00", "58.33"),  # returned twice
        "unstated": ("0.00", "0.00", "0.00", "0.00"),  # 0.5 is overdue
    }
    assert [str(report.total.numbers[key]) for key in keys] == ["90.00", "70.00", "82.50", "56.58"]


def test_its_outputs_say_them_and_keep_the_rules_of_the_form(report):
    document = signing.write_sealed_document(build_report_element(report, {}, (), 1), HUB)
    for content in (document, write_json_report(report, {}).encode()):
        assert validate_report(content, [FORM]).broken == ()
    back = read_sealed_report(document).report
    assert [row.row.numbers for row in back.divided] == [row.row.numbers for row in report.divided]
    assert all(found.holds for found in audit_arithmetic(back, ""))
    wrong = document.decode().replace(">66.50<", ">70.00<")
    (broken,) = validate_report(wrong.encode(), [FORM]).broken
    assert (broken.rule, broken.row) == ("divided-expression-results", "CB-01")
    assert "66.50" in write_csv_report(report, {}).decode("utf-8-sig")


def test_without_the_rule_set_nobody_has_points():
    (plain,) = (form for form in read_form_folder() if form.id == "congviec")
    assert {"expression", "grade"}.isdisjoint(
        column.kind.value for column in plain.columns if column.kind in WORKED_OUT
    )
    assert read_definition(write_definition(FORM)) == FORM
