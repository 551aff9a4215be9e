"""Signing at the console: a clerk gets the very octets, an official signs them elsewhere, and the page says where the report stands and what comes next."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO

import attrs
import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from hub.domain.errors import SENTENCES
from hub.domain.model import HUB, ReportState
from hub.formats.spool import Octets
from hub.intake.admission import judge_record
from hub.journal import blobs, messages
from hub.language.catalogues import say_both
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.operations.reports import standing as console
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.services import list_services
from hub.services.verdicts import ReportVerdict, write_verdict_message
from hub.store import transactions
from hub.store.tables import closed_row
from hub.workload import closing, revisions, submission
from tests import pki
from tests.console_town import Browser
from tests.officials import AN, BINH, TWO, Tool, by_signxml, by_xmlsec, official, officials
from tests.pki import NOW as STAMPED_AT
from tests.province import NOW, ROUTES
from tests.signed_pdfs import by_pyhanko
from tests.stamps import TSA, stamp_document, trust

PERIOD = "2026-11"
PLACE = f"/signing/edoc/H55.13/{PERIOD}"
REPORT = f"/reports/edoc/H55.13/{PERIOD}"
INSIDE = datetime(2026, 11, 10, 3, 0, tzinfo=UTC)


@pytest.fixture
def clerk(town):
    """The browser of a clerk of H55.13, whose unit has sent one document in the period; An signs for it, Bình for another."""
    town.officials = officials(official(), official("binh", BINH, units=("H55.01",)))
    town.take(1, at=INSIDE)
    return signed_in(town, "chi", Role.CLERK)


def signed_in(town, name, role, unit="H55.13"):
    town.add(name, *([unit] if unit else []), role=role)
    browser = Browser(town)
    browser.sign_in(name)
    return browser


def get(browser, place=PLACE, **form):
    """Press the button that gives the file to be signed; return its octets."""
    browser.get(place)
    answer = browser.post(f"{place}.xml", **form)
    assert answer.status == 200, browser.page
    with transactions.read_transaction(browser.town.engine) as tx:
        octets = blobs.read_blob(tx, answer.stored)
    assert answer.size == len(octets)
    return octets


def hand_in(browser, content, place=PLACE, **form):
    browser.get(place)
    return browser.post(place, file=Octets.of(content), **form)


def standing(town):
    with transactions.read_transaction(town.engine) as tx:
        return revisions.list_revisions(tx, "H55.13", "edoc", PERIOD)


def text(browser):
    return " ".join(browser.page.split())


@pytest.mark.slow
def test_from_the_closed_numbers_to_the_signed_report(town, clerk):
    clerk.get(REPORT)
    assert "Chưa ai lấy báo cáo này đi ký" in text(clerk)
    assert PLACE in clerk.links()
    octets = get(clerk)
    assert get(clerk) == octets, "the same octets each time"
    clerk.get(REPORT)
    assert "Bản lần 1: đã khóa, chờ ký." in text(clerk)
    assert "để người có thẩm quyền ký" in text(clerk)
    document = by_signxml(octets)
    answer = hand_in(clerk, document)
    assert (answer.status, answer.location) == (303, PLACE)
    for page in (PLACE, REPORT):
        clerk.get(page)
        assert "Bản lần 1: đã ký." in text(clerk)
        assert "Nguyễn Văn An" in text(clerk)
        assert "người vận hành nộp lên" in text(clerk)
    (one,) = standing(town)
    assert one.state is ReportState.SIGNED
    with transactions.read_transaction(town.engine) as tx:
        assert blobs.read_blob(tx, one.signing.sha256) == document
    assert [each["by"] for each in town.told("report-closed", "report-signed")] == ["chi", "chi"]
    place = f"/messages/{one.signing.message}"
    assert place in clerk.links()
    assert clerk.get(place).status == 200, "who may see the report may see what was signed"


@pytest.mark.slow
def test_the_page_says_who_stamped_a_signature_and_when(town, clerk):
    town.officials = attrs.evolve(officials(), stamping=trust(required=True))
    clerk = signed_in(town, "bich", Role.CLERK)
    document = by_xmlsec(get(clerk))
    clerk.get(PLACE)
    assert "Chữ ký phải kèm dấu thời gian" in text(clerk)
    assert hand_in(clerk, document).status == 422
    assert "<code>stamp-missing</code>" in clerk.page
    assert hand_in(clerk, stamp_document(document)).status == 303, clerk.page
    for page in (PLACE, REPORT):
        clerk.get(page)
        assert "dấu thời gian" in text(clerk)
        assert "CN=tsa" in text(clerk)
        assert hash_certificate(TSA.certificate) in clerk.page
    (told,) = town.told("report-signed")
    assert (told["stamped-at"], told["stamp-certificate"]) == (
        STAMPED_AT.isoformat(),
        hash_certificate(TSA.certificate),
    )
    stamp = standing(town)[0].signing.stamp
    assert (stamp.at, stamp.by, stamp.serial) == (
        STAMPED_AT,
        TSA.certificate.subject.rfc4514_string(),
        told["stamp-serial"],
    )


@pytest.mark.slow
def test_only_who_may_sign_gets_the_script_and_only_while_there_is_something_to_sign(town, clerk):
    assert clerk.get(PLACE).scripted
    script = re.search(r'<script src="(/console/signing.js[?][0-9a-f]{16})" defer></script>', clerk.page)
    assert script, clerk.page
    answer = clerk.get(script[1])
    assert (answer.content_type, answer.lasting, answer.scripted) == ("text/javascript; charset=utf-8", True, False)
    assert 'data-address="wss://127.0.0.1:8987/SignXML" hidden' in clerk.get(PLACE).content.decode()
    assert not clerk.get(REPORT).scripted
    assert not signed_in(town, "an", Role.READER).get(PLACE).scripted
    assert not clerk.get("/signing/edoc/H55.13/2026-12").scripted, "the period runs"
    assert hand_in(clerk, get(clerk)).scripted, "refused: it can be tried again at once"
    assert hand_in(clerk, by_signxml(get(clerk))).status == 303
    assert not clerk.get(PLACE).scripted
    assert "<script" not in clerk.page


@pytest.mark.slow
def test_the_paper_of_a_report_that_was_given_out_is_that_revision(town, clerk):
    before = paper(clerk)
    assert "Bản lần" not in before
    octets = get(clerk)
    town.take(2, at=INSIDE)
    town.wait(minutes=5)
    assert "Bản lần 1 – đã khóa, chờ ký" in paper(clerk)
    assert paper(clerk, "html").count('<td data-column="sent">1</td>') == 2, "of the total and of the unit"
    assert hand_in(clerk, by_signxml(octets)).status == 303
    for kind in ("pdf", "html"):
        signed = paper(clerk, kind)
        assert "Bản lần 1 – đã ký" in signed
        assert "Nguyễn Văn An" in signed
    assert b",2," in clerk.get(f"{REPORT}.csv").content, "what is counted now"


def paper(browser, kind="pdf"):
    """Return the words of the report on paper."""
    content = browser.get(f"{REPORT}.{kind}").content
    if kind == "html":
        return " ".join(content.decode().split())
    return " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).split())


@pytest.mark.slow
def test_the_pdf_is_signed_where_a_tool_signs_only_pdf(town, clerk):
    town.now = datetime.now(UTC)  # a tool for PDF writes its own time
    authority = pki.authority("Persons", town.now)
    person = authority.issue("An of today")
    town.officials = officials(
        official(identity=person, units=("H55.13",)), anchors=Anchors([authority.certificate], committing=True)
    )
    clerk = signed_in(town, "bich", Role.CLERK)
    get(clerk)
    clerk.get(PLACE)
    assert f"{REPORT}.pdf" in clerk.links()
    given = clerk.get(f"{REPORT}.pdf").content
    english = clerk.get(f"{REPORT}.pdf?lang=en").content
    clerk.get(f"{PLACE}?lang=vi")
    signed = by_pyhanko(english, person)
    assert hand_in(clerk, by_pyhanko(given, BINH)).status == 422
    assert "<code>official-unknown</code>" in clerk.page
    for _ in range(2):  # sent twice, it is taken once
        assert hand_in(clerk, signed).status == 303, clerk.page
    clerk.get(PLACE)
    assert "Bản lần 1: đã ký." in text(clerk)
    assert clerk.get(f"{REPORT}.pdf").content == signed, "the very octets that were signed"
    assert hand_in(clerk, by_pyhanko(given, person)).status == 422
    assert "<code>report-already-signed</code>" in clerk.page
    (one,) = standing(town)
    assert (one.state, one.signing.format, one.signing.official) == (ReportState.SIGNED, "pdf", "an")
    assert clerk.get(f"/messages/{one.signing.message}").status == 200
    assert "PDF đã ký của báo cáo" in text(clerk)
    (told,) = town.told("report-signed")
    assert (told["format"], told["by"]) == ("pdf", "bich")
    user = User(name="chi", role=Role.OPERATOR, units=("*",), added_at=town.now, changed_at=town.now)
    with transactions.write_transaction(town.engine) as tx:
        counted = console.count_report_for_release(tx, user, read_shipped_book(), "edoc", "H55.13", PERIOD, town.now)
        gone = submission.submit_report(
            tx, clerk.pages.parts.live.province, counted, "baocao", reason="", by="vanhanh", now=town.now
        )
    assert gone.message.id == one.message, "the sealed report goes"
    assert standing(town)[0].state is ReportState.SUBMITTED


@pytest.mark.slow
def test_where_two_persons_sign_they_sign_the_xml(town, clerk):
    town.officials = TWO
    clerk.pages = town.pages()
    get(clerk)
    clerk.get(PLACE)
    assert f"{REPORT}.pdf" not in clerk.links()
    assert hand_in(clerk, by_pyhanko(clerk.get(f"{REPORT}.pdf").content)).status == 422
    assert "<code>signature-order</code>" in clerk.page
    assert standing(town)[0].state is ReportState.CLOSED


@pytest.mark.slow
def test_two_persons_sign_one_after_the_other(town, clerk):
    town.officials = TWO
    clerk.pages = town.pages()
    octets = get(clerk)
    clerk.get(PLACE)
    assert "Hai người ký: người lập biểu ký trước" in text(clerk)
    assert hand_in(clerk, by_xmlsec(octets)).status == 422
    assert "<code>signature-order</code>" in clerk.page
    drafted = by_xmlsec(octets, BINH, tool=Tool(name="1"))
    for _ in range(2):  # sent twice, it is taken once
        assert hand_in(clerk, drafted).status == 303
    for page in (PLACE, REPORT):
        clerk.get(page)
        assert "Bản lần 1: người lập đã ký, chờ thủ trưởng đơn vị." in text(clerk)
        assert "người lập biểu Trần Thị Bình đã ký" in text(clerk)
    assert clerk.get(PLACE).scripted, "the head may sign with the tool"
    assert get(clerk) == drafted, "the file to sign has the first signature"
    clerk.get(PLACE)
    assert clerk.post(f"{PLACE}.xml").filename == "edoc_H55.13_2026-11_1_drafted.xml"
    assert hand_in(clerk, by_signxml(drafted)).status == 303
    clerk.get(PLACE)
    assert "Bản lần 1: đã ký." in text(clerk)
    (one,) = standing(town)
    assert (one.drafting.official, one.signing.official) == ("binh", "an")
    assert len(town.told("report-drafted")) == len(town.told("report-signed")) == 1


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (lambda octets: octets, "report-unsigned"),
        (lambda octets: by_xmlsec(octets, BINH), "official-not-for-unit"),
        (lambda octets: by_xmlsec(octets.replace(b"Trung", b"Trang")), "report-changed"),
        (lambda octets: by_xmlsec(octets, AN, NOW + timedelta(hours=1)), "signing-time"),
        (lambda _: b"", "not-well-formed"),
        (lambda _: b"%PDF-1.7", "report-changed"),
        (lambda _: b"PK\3\4", "not-well-formed"),
    ],
    ids=["unsigned", "another official", "changed", "in the future", "empty", "another PDF", "another format"],
)
@pytest.mark.slow
def test_what_will_not_do_is_told_of_in_the_readers_language_and_leaves_its_hash_alone(town, clerk, made, code):
    document = made(get(clerk))
    assert hand_in(clerk, document).status == 422
    assert f"<code>{code}</code>" in clerk.page
    vietnamese, english = say_both(SENTENCES[code])
    assert vietnamese in text(clerk)
    assert english not in text(clerk)
    assert f'<a href="/help/reference/errors#{code}"><code>' in clerk.page
    assert 'type="file"' in clerk.page, "it can be tried again at once"
    (told,) = town.told("report-signature-refused")
    assert (told["by"], told["sha256"]) == ("chi", hashlib.sha256(document).hexdigest())
    assert [each["code"] for each in told["problems"]] == [code]
    assert standing(town)[0].state is ReportState.CLOSED
    assert town.told("report-signed") == []


def test_what_was_never_given_out_cannot_come_back(town, clerk):
    assert hand_in(clerk, b"<Report/>").status == 422
    assert "<code>report-not-closed</code>" in clerk.page
    assert standing(town) == []


def test_the_xml_of_the_report_page_is_not_the_one_to_sign(clerk):
    get(clerk)
    other = clerk.get(f"{REPORT}.xml").content
    assert hand_in(clerk, by_xmlsec(other)).status == 422
    assert "<code>report-other-revision</code>" in clerk.page
    assert "chỉ để đọc" in text(clerk)


def test_of_a_period_that_runs_nothing_is_given_out(town, clerk):
    running = "/signing/edoc/H55.13/2026-12"
    clerk.get(running)
    assert "Kỳ chưa kết thúc" in text(clerk)
    clerk.get("/account")
    assert clerk.post(f"{running}.xml").status == 422
    assert "<code>period-not-ended</code>" in clerk.page
    assert town.told("report-closed") == []


@pytest.mark.slow
def test_a_month_that_is_still_to_be_closed_is_named(town, clerk):
    town.take(2, at=INSIDE - timedelta(days=40))
    close(town, "2026-10")
    clerk.get(PLACE)
    assert f"tháng đầu tiên còn mở là {PERIOD}" in text(clerk)
    clerk.get("/account")
    assert clerk.post(f"{PLACE}.xml").status == 422
    assert "<code>period-not-closed</code>" in clerk.page
    close(town, PERIOD)
    assert b"<Report" in get(clerk)


@pytest.mark.slow
def test_another_revision_takes_a_reason_and_makes_the_old_one_worthless(town, clerk):
    old = get(clerk)
    town.take(2, at=INSIDE)
    clerk.get(PLACE)
    assert "Số liệu trục đếm nay đã khác" in text(clerk)
    assert get(clerk) == old, "without a reason nothing changes"
    clerk.get(PLACE)
    assert clerk.post(f"{PLACE}.xml", reason="  ").status == 422
    assert "<code>reason-missing</code>" in clerk.page
    new = get(clerk, reason="gói tin đến muộn")
    assert new != old
    assert hand_in(clerk, by_xmlsec(old)).status == 422
    assert "<code>report-other-revision</code>" in clerk.page
    assert hand_in(clerk, by_xmlsec(new)).status == 303
    clerk.get(REPORT)
    assert "gói tin đến muộn (chi)" in text(clerk)
    assert [each.state for each in standing(town)] == [ReportState.CLOSED, ReportState.SIGNED]


def test_a_reason_is_one_line_of_five_hundred_characters_whatever_a_browser_sends(town, clerk):
    get(clerk)
    town.take(2, at=INSIDE)
    get(clerk, reason=f" gói\r\ntin\x0b đến\0muộn\x1b {'x' * 9000}")
    (_, second) = standing(town)
    assert second.reason == f"gói tin đến\ufffdmuộn\ufffd {'x' * 9000}"[:500]


@pytest.mark.slow
def test_a_report_that_came_back_says_why_and_is_signed_anew(town, clerk):
    old = get(clerk)
    assert hand_in(clerk, by_xmlsec(old)).status == 303
    province = clerk.pages.parts.live.province
    user = User(name="chi", role=Role.OPERATOR, units=("*",), added_at=NOW, changed_at=NOW)
    with transactions.write_transaction(town.engine) as tx:
        counted = console.count_report_for_release(tx, user, read_shipped_book(), "edoc", "H55.13", PERIOD, NOW)
        submission.submit_report(tx, province, counted, "baocao", reason="", by="vanhanh", now=NOW)
    clerk.get(REPORT)
    assert "Bản lần 1: đã nộp." in text(clerk)
    assert "nộp cho baocao (vanhanh)" in text(clerk)
    assert "Đang chờ nơi nhận trả lời" in text(clerk)
    said = ReportVerdict(
        form="edoc",
        unit="H55.13",
        period=PERIOD,
        revision=1,
        result="returned",
        by="baocao",
        reasons=("Thiếu <b>số liệu</b>",),
    )
    with transactions.write_transaction(town.engine) as tx:
        entry = judge_record(list_services()["verdicts"], write_verdict_message(said), "v1", HUB, province, NOW, "v1")
        assert messages.record_message(tx, entry, ROUTES).problems == ()
    clerk.get(REPORT)
    assert "Bản lần 1: bị trả lại." in text(clerk)
    assert "Thiếu &lt;b&gt;số liệu&lt;/b&gt;" in clerk.page
    assert "lập bản mới kèm lý do" in text(clerk)
    new = get(clerk, reason="bổ sung")
    assert hand_in(clerk, by_xmlsec(new)).status == 303
    assert [each.state for each in standing(town)] == [ReportState.RETURNED, ReportState.SIGNED]


def test_who_only_reads_sees_where_it_stands_and_can_move_nothing(town, clerk):
    octets = get(clerk)
    reader = signed_in(town, "an", Role.READER)
    for page in (REPORT, PLACE):
        assert reader.get(page).status == 200
        assert "đã khóa, chờ ký" in text(reader)
        assert 'action="/signing' not in reader.page
    reader.get("/account")
    assert reader.post(f"{PLACE}.xml").status == 403
    reader.get("/account")
    assert reader.post(PLACE, file=Octets.of(by_xmlsec(octets))).status == 403
    assert "văn thư" in reader.page
    assert standing(town)[0].state is ReportState.CLOSED


def test_nobody_moves_another_unit_s_report_or_from_another_site(town, clerk):
    stranger = signed_in(town, "la", Role.CLERK, "H55.01")
    assert stranger.get(PLACE).status == 404
    stranger.get("/account")
    assert stranger.post(f"{PLACE}.xml").status == 404
    stranger.get("/account")
    assert stranger.post(PLACE, file=Octets.of(b"x")).status == 404
    clerk.get(PLACE)
    assert clerk.post(f"{PLACE}.xml", origin="https://evil.example").status == 403
    clerk.get(PLACE)
    assert clerk.post(PLACE, file=Octets.of(b"x"), proof="x").status == 403
    assert clerk.get(f"{PLACE}.xml").status == 404, "it writes, so it is never read by a link"
    assert town.told("report-closed", "report-signature-refused") == []


def test_evidence_that_is_no_longer_what_was_closed_is_told_of_and_stops_giving_out(town, clerk):
    close(town, PERIOD)
    facts = f"{REPORT}/sent"
    clerk.get(facts)
    assert 'id="differences"' not in clerk.page
    with transactions.write_transaction(town.engine) as tx:
        tx.execute(sa.update(closed_row).where(closed_row.c.unit == "H55.13").values(evidence="0" * 64))
    for page in (facts, f"{facts}?unit=H55.13"):
        clerk.get(page)
        assert "lienthong report close 2026-11" in text(clerk)
    clerk.get(f"{facts}?unit=H55.13.1")
    assert 'id="differences"' not in clerk.page
    clerk.get(PLACE)
    assert clerk.post(f"{PLACE}.xml").status == 422
    assert "<code>evidence-differs</code>" in clerk.page


def close(town, period):
    with transactions.write_transaction(town.engine) as tx:
        closing.close_month(tx, read_shipped_book(), "edoc", parse_period(period), town.now, "hub")
