"""The minutes of corrections: each revision of a report says who made it, why, who returned the one before, and each cell that differs."""

from datetime import timedelta
from io import BytesIO

import pytest
from pypdf import PdfReader

from hub.journal import unit_registry
from hub.language.languages import Language
from hub.operations.reports import standing
from hub.report.form.book import read_shipped_book
from hub.report.signed import minutes
from hub.report.signed.minutes import CorrectedCell
from hub.workload import given_paper, revisions, unit_report
from tests.journal.test_signed_revisions import MINUTE, UNIT, give_out, hand_in, take_back, told_there
from tests.officials import by_xmlsec
from tests.pki import NOW
from tests.province import UNITS

BOOK = read_shipped_book()


@pytest.fixture
def corrected(tx):
    """The report of a unit that was returned once, corrected, and made once more with the same numbers."""
    unit_registry.write_registry_units(tx, UNITS)
    kept, octets = give_out(tx)
    take_back(tx, kept, by_xmlsec(octets), NOW + MINUTE)
    hand_in(tx, now=NOW + 2 * MINUTE)
    told_there(tx, "returned", at=NOW + 3 * MINUTE, reasons=("thiếu hai văn bản",))
    give_out(tx, sent=3, reason="bổ sung văn bản đến muộn", now=NOW + 4 * MINUTE)
    return unit_report.resolve_report_sources(tx, UNIT, "2026-11", "edoc", BOOK, now=NOW)


def read(tx):
    return list(given_paper.make_minutes(tx, revisions.list_revisions(tx, UNIT, "edoc", "2026-11")))


def test_each_cell_that_differs_is_named_with_both_numbers_the_reason_and_who_returned_it(tx, corrected):
    (one,) = read(tx)
    assert (one.revision, one.by, one.reason, one.at) == (2, "clerk", "bổ sung văn bản đến muộn", NOW + 4 * MINUTE)
    assert [(each.partner, each.reasons) for each in one.returned] == [("baocao", ("thiếu hai văn bản",))]
    assert one.cells == tuple(
        CorrectedCell(unit=UNIT, column=key, was=1, now=3) for key in ("sent_inside", "sent", "total", "not_signed")
    )
    assert one.more == 0


def test_of_more_cells_than_minutes_name_the_number_is_told(tx, corrected, monkeypatch):
    monkeypatch.setattr(minutes, "MOST_CELLS", 1)
    (one,) = read(tx)
    assert ([each.column for each in one.cells], one.more) == (["sent_inside"], 3)


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_the_paper_of_the_corrected_report_carries_its_minutes(tx, corrected, kind):
    given = given_paper.read_given_paper(tx, corrected, None)
    assert given is not None
    written = given.write(kind, Language.VI)
    if kind == "pdf":
        text = " ".join("".join(page.extract_text() for page in PdfReader(BytesIO(written)).pages).split())
    else:
        text = written.decode()
    at = f"{NOW + 4 * MINUTE + timedelta(hours=7):%H:%M}"
    for each in ("Biên bản điều chỉnh", "clerk", "thiếu hai văn bản", "bổ sung văn bản đến muộn", "1 → 3", at):
        assert each in text


def test_the_signing_page_has_them_beside_the_revision(tx, corrected):
    said = standing.read_report_standing(tx, corrected, NOW).write_minutes(Language.EN)
    assert list(said) == [2]
    assert "Returned by baocao" in said[2]
    assert "Sở TT&TT, (" in said[2]


def test_a_report_that_was_never_corrected_has_none(tx):
    unit_registry.write_registry_units(tx, UNITS)
    give_out(tx)
    asked = unit_report.resolve_report_sources(tx, UNIT, "2026-11", "edoc", BOOK, now=NOW)
    assert read(tx) == []
    given = given_paper.read_given_paper(tx, asked, None)
    assert given is not None
    assert "Biên bản" not in given.write("html", Language.VI).decode()
