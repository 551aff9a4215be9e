"""Every PDF that the hub writes meets what PDF/A-2a and PDF/UA-1 ask of it, also once it is signed."""

from io import BytesIO
from typing import Any

import attrs
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, BooleanObject, DictionaryObject, NameObject, NullObject

from hub.language.languages import Language
from hub.report.counting.counting import count_report
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.output.charts import make_plots
from hub.report.output.pdf import write_pdf_report
from tests.pdftags import tree
from tests.pdfua import judge_pdf
from tests.report.test_report_printed import DECEMBER, EDOC, GIVEN, NAMES, NOW, SHA, example, usual
from tests.signed_pdfs import by_pyhanko

FORMS = read_form_folder()


@pytest.mark.parametrize("form", ["edoc", "ii06a", "lookups", "btp07a", "mail"])
@pytest.mark.parametrize("language", Language)
def test_a_report_meets_what_is_asked_of_it(form: str, language: Language) -> None:
    report = count_report(choose_form(FORMS, form, DECEMBER), [], DECEMBER, NOW, ("H55", "H55.1"))
    assert judge_pdf(write_pdf_report(report, NAMES, SHA, language, revision=GIVEN)) == []


def test_so_does_one_with_charts() -> None:
    report = example()
    months = [attrs.evolve(report, period=parse_period(text)) for text in ("2026-10", "2026-11")]
    assert judge_pdf(write_pdf_report(report, NAMES, SHA, charts=make_plots(report, NAMES, months))) == []


def test_the_rows_that_stand_with_the_signatures_have_their_headings_too() -> None:
    report = example(*(f"H55.{place}" for place in range(1, 14)))
    content = write_pdf_report(attrs.evolve(report, form=attrs.evolve(EDOC, notes=())), NAMES, SHA)
    first, last = tree(content).all("Table")
    assert [each.text for each in last.all("TH")] == [each.text for each in first.all("TH")]
    assert len(list(last.all("TD"))) == 2 * (2 + len(EDOC.columns))
    assert judge_pdf(content) == []


@pytest.mark.parametrize("kind", ["PADES", "ADOBE_PKCS7_DETACHED"])
def test_a_signature_that_is_not_seen_keeps_it(kind: str) -> None:
    assert judge_pdf(by_pyhanko(usual(), kind=kind)) == []


def test_a_signature_that_is_seen_is_the_only_thing_without_a_tag() -> None:
    """The structure is the hub's: what signs may not change it, so a picture of the signature is in no element."""
    assert judge_pdf(by_pyhanko(usual(), box=(500, 40, 700, 140))) == ["UA 7.18: page 1: /Widget is in no element"]


def spoil(path: str, value: object) -> bytes:
    """Return a report with another value at *path*; None: without it."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(usual())))
    *above, last = (f"/{name}" for name in path.split("/"))
    place: Any = writer.root_object
    for name in above:
        place = place[name].get_object()
    if value is None:
        del place[last]
    else:
        place[NameObject(last)] = value
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("MarkInfo", None, "UA 6.2"),
        ("MarkInfo/Suspects", NullObject(), "Suspects"),
        ("MarkInfo/Suspects", BooleanObject(True), "Suspects"),
        ("Lang", None, "no language"),
        ("ViewerPreferences", None, "not shown"),
        ("OutputIntents", ArrayObject(), "no output intent"),
        ("StructTreeRoot", DictionaryObject(), "is in no element"),
        ("OpenAction", DictionaryObject(), "actions"),
    ],
)
def test_the_judge_tells_what_is_wrong(path: str, value: object, told: str) -> None:
    assert told in " ".join(judge_pdf(spoil(path, value)))
