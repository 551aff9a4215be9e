"""Declaring at the console: a clerk fills the workbook in and hands it back, and sees each cell beside the count."""

import pytest

from hub.console.province.report_pages import ReportPages
from hub.formats.spool import Octets
from hub.operations.accounts.permissions import Role
from hub.report.form.book import read_shipped_book
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.runtime.thread_pool import run_at_once
from tests.console_town import Browser
from tests.declaring import filled
from tests.report.laid_out import as_xls, lay_out

PERIOD = "2026-12"
PLACE = f"/declarations/edoc/H55.13/{PERIOD}"
FORM = choose_form(read_form_folder(), "edoc", parse_period(PERIOD))


@pytest.fixture
def binh(town):
    """The browser of a clerk of H55.13."""
    return signed_in(town, "binh", Role.CLERK)


def signed_in(town, name, role, unit="H55.13"):
    town.add(name, unit, role=role)
    browser = Browser(town)
    browser.sign_in(name)
    return browser


def hand_in(browser, content, place=PLACE, **form):
    browser.get(place)
    return browser.post(place, file=Octets.of(content), **form)


def test_a_clerk_declares_and_sees_which_cells_differ(town, binh):
    town.take(1)
    assert binh.get(PLACE).status == 200
    assert "chưa khai" in binh.page
    template = binh.get(f"{PLACE}.xlsx")
    assert template.filename == f"khai_edoc_H55.13_{PERIOD}.xlsx"
    right, wrong, baseless = ("H55.13", "sent_inside"), ("H55.13", "not_signed"), ("H55.13.1", "sent_inside")
    answer = hand_in(binh, filled(template.content, {right: 1, wrong: 3, baseless: 5}))
    assert (answer.status, answer.location) == (303, PLACE)
    binh.get(PLACE)
    assert "2 ô không khớp trong 3 ô đã khai" in " ".join(binh.page.replace("\n", " ").split())
    assert binh.page.count('<tr class="differs">') == 1
    assert binh.page.count('<tr class="no-evidence">') == 1
    assert binh.page.count('<tr class="equal">') == 1
    assert f"/reports/edoc/H55.13/{PERIOD}/not_signed?unit=H55.13" in binh.links(), "a cell opens"
    (told,) = town.told("report-declared")
    assert (told["by"], told["unit"]) == ("binh", "H55.13")


def test_a_workbook_that_will_not_do_is_told_of_cell_by_cell_and_nothing_is_taken(town, binh):
    template = binh.get(f"{PLACE}.xlsx").content
    for content in (b"", b"PK\x03\x04 no workbook", filled(template, {("H55.13", "sent_inside"): "nhiều"})):
        assert hand_in(binh, content).status == 422
        assert "Chưa nhận gì" in binh.page
    assert town.told("report-declared") == []


def test_the_provinces_own_workbook_in_the_old_kind_of_file_is_declared_by_names(town, binh):
    layout = next(each for each in read_shipped_book().layouts if each.id == "ii06a")
    place = f"/declarations/ii06a/H55.13/{PERIOD}"
    rows = [
        (1, "so tt & tt", {"received": 4}),
        (2, "TRUNG TÂM CNTT", {"received": 2, "pending": 1}),
        (3, "Sở Lạ", {"received": 2}),
    ]
    assert hand_in(binh, as_xls(lay_out(layout, rows, top=())), place).status == 422
    assert (
        "Biểu!K7: dòng TRUNG TÂM CNTT ghi 1, còn các dòng bên dưới không phải đơn vị (“Sở Lạ”) cộng lại được 0"
        in binh.page
    )
    assert hand_in(binh, as_xls(lay_out(layout, rows[:2], top=())), place).status == 303
    binh.get(place)
    assert "3 ô không khớp trong 3 ô đã khai" in " ".join(binh.page.replace("\n", " ").split())


def test_the_paper_form_of_a_report_is_downloaded_and_declares_what_was_counted(town, binh):
    report = f"/reports/ii06a/H55.13/{PERIOD}"
    binh.get(report)
    assert f"{report}.paper" in binh.links()
    file = binh.get(f"{report}.paper")
    assert file.filename == f"ii06a_H55.13_{PERIOD}.paper.xlsx"
    assert hand_in(binh, file.content, f"/declarations/ii06a/H55.13/{PERIOD}").status == 303
    binh.get(f"/declarations/ii06a/H55.13/{PERIOD}")
    assert "0 ô không khớp trong 33 ô đã khai" in " ".join(binh.page.replace("\n", " ").split())
    binh.get(f"/reports/edoc/H55.13/{PERIOD}")
    assert f"/reports/edoc/H55.13/{PERIOD}.paper" not in binh.links(), "nobody said how it stands"
    assert binh.get(f"/reports/edoc/H55.13/{PERIOD}.paper").status == 404


def test_the_rows_of_a_file_may_be_a_declaration_of_each_unit_for_itself(town, binh):
    layout = next(each for each in read_shipped_book().layouts if each.id == "ii06a")
    place = f"/declarations/ii06a/H55.13/{PERIOD}"
    rows = [(1, "H55.13", {"received": 4}), (2, "H55.13.1", {"received": 2}), ("", "Cộng", {"received": 6})]
    assert hand_in(binh, as_xls(lay_out(layout, rows, top=())), place, each="1").status == 303
    assert sorted((told["unit"], told["by"]) for told in town.told("report-declared")) == [
        ("H55.13", "binh"),
        ("H55.13.1", "binh"),
    ]
    binh.get(place)
    assert 'name="each"' in binh.page
    assert "trong 2 ô đã khai" in " ".join(binh.page.replace("\n", " ").split())
    binh.get(place.replace("H55.13", "H55.13.1"))
    assert "trong 1 ô đã khai" in " ".join(binh.page.replace("\n", " ").split())
    assert 'name="each"' not in binh.page, "it has no units below it"


def test_what_many_units_declared_is_written_beside_the_reactor(binh):
    """Every cell of 1,500 units: 9 MB, in 0.6 s of a core, in which nothing else would be answered."""
    worked = []

    def work(owner, size, step, *words):
        worked.append((size, words[:1]))
        return run_at_once(owner, size, step, *words)

    binh.pages._find_owner(ReportPages)._work = work
    binh.get(PLACE)
    assert [size > 4096 for size, words in worked if words == ("declared",)] == [True]


def test_who_only_reads_declares_nothing(town):
    reader = signed_in(town, "an", Role.READER)
    reader.get(PLACE)
    assert 'type="file"' not in reader.page
    reader.get("/account")
    proof = reader.proof
    assert reader.post(PLACE, file=Octets.of(b"x"), proof=proof).status == 403
    assert "văn thư" in reader.page


def test_nobody_declares_for_another_unit_or_from_another_site(town, binh):
    other = PLACE.replace("H55.13", "H55.01")
    assert binh.get(other).status == 404
    assert binh.get(f"{other}.xlsx").status == 404
    binh.get(PLACE)
    proof = binh.proof
    assert binh.post(other, file=Octets.of(b"x"), proof=proof).status == 404
    assert binh.post(PLACE, file=Octets.of(b"x"), proof=proof, origin="https://evil.example").status == 403
    template = binh.get(f"{PLACE}.xlsx").content
    theirs = template.replace(b"H55.13", b"H55.01")
    assert hand_in(binh, theirs).status == 422
