"""A PDF that an official has signed: taken when nothing but the signature was added to the octets that were given out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from hub.domain.errors import SENTENCES, Rejected
from hub.report.output.pdf import write_pdf_report
from hub.report.signed import signed_pdf
from tests.officials import AN, BINH
from tests.report.test_report_printed import NAMES, SHA, example
from tests.signed_pdfs import annotate, by_pyhanko, open_action, other_content, swell
from tests.stamps import TSA

GIVEN = write_pdf_report(example(*(f"H55.{place}" for place in range(1, 40))), NAMES, SHA)
KNOWN = (AN.certificate, BINH.certificate)
SIGNED = by_pyhanko(GIVEN)


def code(uploaded: bytes, known=KNOWN) -> str:
    """Return `taken`, or the code of the refusal."""
    try:
        signed_pdf.verify_signed_pdf([b"%PDF-1.7 another", GIVEN], uploaded, known)
    except Rejected as rejected:
        (problem,) = rejected.problems
        assert problem.code in SENTENCES
        return problem.code
    return "taken"


@pytest.mark.parametrize("kind", ["PADES", "ADOBE_PKCS7_DETACHED"])
@pytest.mark.parametrize("box", [None, (500, 40, 700, 140)], ids=["invisible", "small"])
def test_what_a_tool_signs_is_taken(kind, box):
    found = signed_pdf.verify_signed_pdf([GIVEN], by_pyhanko(GIVEN, kind=kind, box=box), KNOWN)
    assert found.certificate == AN.certificate
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=5)
    assert signed_pdf.verify_signed_pdf([GIVEN], by_pyhanko(GIVEN, BINH), KNOWN).certificate == BINH.certificate


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: GIVEN, "report-unsigned"),
        (lambda: GIVEN + b"\n", "report-unsigned"),
        (lambda: SIGNED.replace(b"/Title", b"/Tytle", 1), "report-changed"),
        (lambda: by_pyhanko(write_pdf_report(example(), NAMES, SHA)), "report-changed"),
        (lambda: SIGNED + SIGNED[len(GIVEN) :], "report-changed"),
        (lambda: by_pyhanko(SIGNED, BINH, name="Khac"), "report-signatures"),
        (lambda: SIGNED + b"% more\n", "report-changed"),
        (lambda: by_pyhanko(GIVEN, box=(0, 0, 800, 500)), "report-changed"),
        (lambda: by_pyhanko(GIVEN, box=(500, 40, 700, 140), page=0), "report-changed"),
        (lambda: by_pyhanko(GIVEN, also=annotate(0)), "report-changed"),
        (lambda: by_pyhanko(GIVEN, also=annotate(-1)), "report-changed"),
        (lambda: by_pyhanko(GIVEN, also=open_action), "report-changed"),
        (lambda: by_pyhanko(GIVEN, also=other_content), "report-changed"),
        (lambda: by_pyhanko(GIVEN, also=swell), "report-changed"),
        (lambda: SIGNED.replace(b"/M (D", b"/M (C", 1), "signature-invalid"),
        (lambda: GIVEN + b"startxref\n0\n%%EOF\n", "signature-invalid"),
        (lambda: GIVEN + b"x" * (2 << 20), "report-changed"),
        (lambda: b"%PDF-1.7", "report-changed"),
    ],
    ids=[
        *("unsigned", "blank", "changed", "another report", "two updates", "two signatures", "more behind", "large"),
        *("first page", "note", "note on the last page", "action", "other content", "swelling", "other time"),
        *("broken", "huge", "another file"),
    ],
)
def test_what_is_not_only_a_signature_more_is_refused(make: Callable[[], bytes], wanted: str):
    assert code(make()) == wanted


def test_a_time_stamp_on_the_signature_is_verified():
    """PAdES-B-T, the token in the unsigned attributes of the CMS signature."""
    at = datetime.now(UTC).replace(microsecond=0)
    document = by_pyhanko(GIVEN, tsa=TSA, at=at)
    found = signed_pdf.verify_signed_pdf([GIVEN], document, KNOWN)
    assert found.stamp is not None
    assert (found.stamp.at, found.stamp.certificate) == (at, TSA.certificate)
    assert code(by_pyhanko(GIVEN, tsa=AN, at=at)) == "stamp-untrusted", "a certificate for something else"
    written = at.strftime("%Y%m%d%H%M%SZ").encode().hex().upper().encode()
    assert document.count(written) == 1
    later = (at + timedelta(days=1)).strftime("%Y%m%d%H%M%SZ").encode().hex().upper().encode()
    assert code(document.replace(written, later)) == "stamp-invalid"
    assert signed_pdf.verify_signed_pdf([GIVEN], SIGNED, KNOWN).stamp is None


def test_a_signature_of_nobody_who_is_registered_is_refused():
    assert code(SIGNED, (BINH.certificate,)) == "official-unknown"


@pytest.mark.parametrize("place", range(0, 4000, 400))
def test_no_octet_of_what_was_added_can_be_changed(place):
    at = len(GIVEN) + place
    changed = SIGNED[:at] + bytes([SIGNED[at] ^ 1]) + SIGNED[at + 1 :]
    assert code(changed) != "taken"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(signed_pdf, "is_pades_installed", lambda: False)
    assert code(SIGNED) == "pdf-unsupported"
