"""The page that tests a report of anyone: what holds, what does not, and what is no report."""

import pytest

from hub.formats.spool import Octets
from hub.operations.accounts.permissions import Role
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.output.schematron import name_rule_files
from tests.console.screens import SOUND
from tests.console.test_console_declaring import signed_in
from tests.console_town import Browser

EDOC = choose_form(read_form_folder(), "edoc", parse_period("2026-12"))


@pytest.fixture
def reader(town):
    return signed_in(town, "khanh", Role.VIEWER)


def send(browser, text: str):
    browser.get("/validate")
    return browser.post("/validate", file=Octets.of(text.encode()))


def test_a_report_whose_cells_agree_is_told_so(reader):
    answer = send(reader, SOUND)
    assert answer.status == 200
    assert "quy tắc, và đều đúng" in reader.page
    assert f"/contracts/{name_rule_files(EDOC)[0]}" in reader.links()


def test_each_cell_that_does_not_agree_is_named(reader):
    answer = send(reader, SOUND.replace('"sent": 0', '"sent": 1', 1))
    assert answer.status == 200
    assert "quy tắc không đúng" in reader.page
    assert "edoc" in reader.page
    assert '<td class="code">sent</td>' in reader.page


@pytest.mark.parametrize(
    ("text", "named"),
    [("", ""), ("{", "$"), ("<a/>", "global declaration"), (SOUND.replace('"edoc"', '"other"'), "other")],
    ids=["empty", "no JSON", "another XML", "an unknown form"],
)
def test_what_is_no_report_is_refused_with_the_reason(reader, text, named):
    answer = send(reader, text)
    assert answer.status == 422
    assert "không phải là báo cáo kiểm tra được" in reader.page
    assert named in reader.page


def test_without_a_sign_in_there_is_no_page(town):
    assert Browser(town).get("/validate").status == 401
