"""Reading at the console: which reports and messages a user may open, and that each number opens down to the bytes."""

import base64
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config.reports import ReportSettings
from hub.domain.errors import Unready
from hub.domain.model import DeliveryState, Fact, Problem, Unit
from hub.intake.endpoint import Counted
from hub.journal import blobs, unit_registry
from hub.journal import facts as journal_facts
from hub.journal.fact_reading import fact_pages
from hub.operations.accounts.permissions import Role
from hub.operations.refusals import RequestRefused
from hub.operations.reports import reading
from hub.operations.reports.reading import PAGE, FactCursor
from hub.report.form.book import read_shipped_book
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.store.tables import delivery
from hub.workload import closing, facts_behind, row_revisions
from tests.conftest import ROOT
from tests.console_town import Browser
from tests.province import NOW
from tests.readback import from_csv, from_html, from_json, from_xlsx, from_xml

PERIOD = "2026-12"
REPORT = f"/reports/edoc/H55.13/{PERIOD}"


@pytest.fixture
def an(town):
    """The browser of a reader of H55.13 and what is below it."""
    town.add("an", "H55.13")
    browser = Browser(town)
    browser.sign_in("an")
    return browser


def signed_in(town, name, *units, role=Role.READER):
    town.add(name, *units, role=role)
    browser = Browser(town)
    browser.sign_in(name)
    return browser


def cell(browser, column, unit=None):
    """Return the number of a cell of the open report, and where it leads."""
    wanted = re.escape(unit) if unit else '[^"]*'
    row = re.search(rf'<tr[^>]*data-unit="{wanted}">.*?</tr>', browser.page, re.DOTALL)
    assert row is not None
    found = re.search(rf'data-column="{column}"[^>]*><a href="([^"]*)">([^<]*)</a>', row[0])
    assert found is not None
    return found[2], unescape(found[1])


def facts(browser):
    """Return the messages that the open page of facts leads to."""
    return [link.rsplit("/", 1)[1] for link in browser.links() if link.startswith("/messages/")]


def tell(town, unit, count, *, message, service="documents", milestone="sent", first=0, amount=1):
    """Record facts of *unit* of one message."""
    made = [
        Fact(
            unit=unit,
            service=service,
            key=f"k{first + number}",
            milestone=milestone,
            at=NOW + timedelta(seconds=number // 3),
            message=message,
            amount=amount,
        )
        for number in range(count)
    ]
    with transactions.write_transaction(town.engine) as tx:
        journal_facts.record_facts(tx, made)


# --- each number opens ----------------------------------------------------------------------------------------------------


def test_a_number_opens_to_facts_to_the_message_to_the_bytes(an, town):
    town.take(1)
    message = town.take(2, "H55.13.1")
    an.get(REPORT)
    assert cell(an, "sent") == ("2", f"{REPORT}/sent")
    number, place = cell(an, "sent", "H55.13.1")
    assert (number, place) == ("1", f"{REPORT}/sent?unit=H55.13.1")
    assert an.get(place).status == 200
    assert facts(an) == [message]
    assert an.get(f"/messages/{message}").status == 200
    assert "message-accepted" in an.page
    assert "fact-recorded" not in an.page, "facts have a table of their own"
    answer = an.get(f"/messages/{message}/content")
    assert (answer.content_type, answer.filename) == ("application/octet-stream", f"{message}.xml")
    with transactions.read_transaction(town.engine) as tx:
        assert blobs.read_blob(tx, answer.stored) == b"packet 2"
    assert answer.size == len(b"packet 2")
    assert an.get(f"/messages/{message}/receipt").content == b"<receipt 2/>"


def test_a_row_of_the_provinces_table_opens_to_its_units_and_their_dossiers(town):
    operator = signed_in(town, "op", role=Role.OPERATOR)
    messages = [town.take(number, "H55.13.1") for number in (1, 2, 3)]
    told = zip(messages, ("H55.13", "H55.13.1", "H55.01"), strict=True)
    made = [
        Fact(unit=unit, service="dossiers", key="k", milestone="received", at=NOW, message=message, day=NOW.date())
        for message, unit in told
    ]
    with transactions.write_transaction(town.engine) as tx:
        journal_facts.record_facts(tx, made)
    own = f"/reports/ii06a/H55/{PERIOD}"
    operator.get(own)
    assert 'data-unit="H55.13"' in operator.page
    assert 'data-unit="H55.13.1"' not in operator.page, "it is in the row of the unit above it"
    (cell,) = [each for each in map(unescape, operator.links()) if "/received_direct?open=H55.13" in each]
    assert operator.get(cell).status == 200
    assert facts(operator) == messages[:2]
    assert '<p class="figure"><strong>2</strong>' in operator.page
    assert f'href="{own}?open=H55.13"' in operator.page, "back to where it was opened"
    assert operator.get(f"{own}?open=H55.13").status == 200
    assert re.findall(r'<tr (?:class="total" )?data-unit="([^"]*)"', operator.page) == ["H55.13", "H55.13", "H55.13.1"]
    for link in [link for link in map(unescape, operator.links()) if "open=" in link]:
        assert operator.get(link).status == 200, link
    operator.get(f"{own}/received_direct?open=H55.13&unit=H55.13.1")
    assert facts(operator) == messages[1:2]
    operator.get(f"{own}?rows=unit")
    assert 'data-unit="H55.13.1"' in operator.page
    assert b"H55.13.1" in operator.get(f"{own}.csv?rows=unit").content
    assert b"H55.13.1" not in operator.get(f"{own}.csv").content
    for wrong in ("rows=field", "open=H55.13.1", "open=X"):
        assert operator.get(f"{own}?{wrong}").status == 404, wrong
        assert operator.get(f"{own}/received_direct?{wrong}").status == (200 if "rows" in wrong else 404), wrong


@pytest.mark.slow
def test_a_number_in_the_row_of_a_field_opens_to_the_dossiers_of_the_field(an, town):
    messages = [town.take(number, "H55.13.1") for number in (1, 2, 3)]
    told = zip(messages, ("HT", "ht", "ĐĐ|1"), strict=True)
    made = [
        Fact(
            unit="H55.13.1", service="dossiers", key=f"k{place}", milestone="received", at=NOW, message=message,
            day=NOW.date(), attributes=(("field", field), ("field_name", f"Lĩnh vực {field}")),
        )
        for place, (message, field) in enumerate(told)
    ]  # fmt: skip
    with transactions.write_transaction(town.engine) as tx:
        journal_facts.record_facts(tx, made)
    own = f"/reports/ii06a/H55.13.1/{PERIOD}"
    an.get(own)
    assert re.findall(r'data-row="([^"]*)"', an.page) == ["HT", "ĐĐ/1"]
    assert '<th scope="col" rowspan="3">Lĩnh vực</th>' in an.page
    assert an.get(f"{own}/received_direct?row=HT").status == 200
    assert facts(an) == messages[:2]
    assert '<p class="figure"><strong>2</strong>' in an.page
    assert "· Lĩnh vực" in an.page
    for link in [link for link in map(unescape, an.links()) if "row=" in link]:
        assert an.get(link).status == 200, link
    above = f"/reports/ii06a/H55.13/{PERIOD}"
    an.get(above)
    assert 'data-unit="H55.13.1" data-row="HT"' in an.page
    assert f'<a href="{own}">' in an.page, "a unit's heading leads to its own report"
    an.get(f"{above}/received_direct?unit=H55.13.1&row=%C4%90%C4%90%2F1")
    assert facts(an) == messages[2:]
    for wrong in ("row=CT", "row=beyond", "row=", "row=HT%7CHT", "unit=H55.13&row=HT", "unit=H55&row=HT"):
        assert an.get(f"{above}/received_direct?{wrong}").status == 404, wrong
    assert an.get(f"{REPORT}/sent?row=HT").status == 404, "a form that does not divide rows"


@pytest.mark.slow
def test_every_cell_of_every_form_opens_to_facts_that_add_up_to_it(town):
    operator = signed_in(town, "op", role=Role.OPERATOR)
    for taken in range(3):
        town.take(taken + 1, "H55.13")
    for form in read_form_folder():
        if form.service not in {"documents", ""}:
            tell(town, "H55.13", 2, message=town.take(90), service=form.service, milestone=milestone(form), amount=7)
        place = f"/reports/{form.id}/H55/{PERIOD}"
        assert operator.get(place).status == 200, form.id
        page = operator.page
        assert f"{form.title.vi}" in unescape(page)
        for column in form.columns:
            operator.page = page
            found = re.search(rf'data-column="{column.key}"[^>]*><a href="([^"]*)">', page)
            if found is None:
                assert column.kind == "time"
                continue
            number, link = cell(operator, column.key) if column.kind != "time" else ("", unescape(found[1]))
            assert operator.get(link).status == 200, link
            if column.kind != "time":
                assert f"<strong>{number}</strong>" in operator.page


def milestone(form):
    return next(one for column in form.columns for one in sorted(column.milestones | column.furthest))


@pytest.fixture(params=["listed at once", "read in pages"])
def _listed(request, monkeypatch):
    """How the facts behind a number are found: in a small report, and in a large one."""
    if request.param == "read in pages":
        monkeypatch.setattr(facts_behind, "LARGE", 0)


@pytest.mark.usefixtures("_listed")
def test_many_facts_are_shown_page_by_page_each_once(an, town):
    message = town.take(1)
    tell(town, "H55.13", 2 * PAGE + 49, message=message)
    an.get(f"{REPORT}/sent")
    sizes = [len(facts(an))]
    while more := re.search(r'rel="next" href="([^"]*)"', an.page):
        an.get(unescape(more[1]))
        sizes.append(len(facts(an)))
    assert sizes == [PAGE, PAGE, 50]
    assert [link for link in an.links() if link == f"{REPORT}/sent"], "back to the first page"


def test_a_page_of_a_large_report_is_sent_before_it_is_full_and_says_how_far_it_came(an, town, monkeypatch):
    monkeypatch.setattr(facts_behind, "LARGE", 0)
    tell(town, "H55.13", 3, message=town.take(1))
    monkeypatch.setattr(reading, "PATIENCE", 0.0)
    monkeypatch.setattr(fact_pages, "_FIRST", 1)
    an.get(f"{REPORT}/completed")
    shown = [an.page]
    while more := re.search(r'rel="next" href="([^"]*)"', an.page):
        an.get(unescape(more[1]))
        shown.append(an.page)
    assert len(shown) > 1
    assert "Đến " in shown[0]
    assert "Không còn kết quả ghi nhận nào nữa" in shown[-1]
    assert 'class="figure"' not in shown[0], "the number is not counted for a page of facts"


def test_a_page_of_facts_that_is_told_of_wrongly_is_none(an):
    for after in ("", "x", "bnVsbA", "WzFd", "W10", "="):
        assert an.get(f"{REPORT}/sent?after={after}").status == 404


@given(st.text(), st.datetimes())
def test_a_place_in_the_list_is_read_back_as_it_was(text, at):
    cursor = FactCursor(at.replace(tzinfo=NOW.tzinfo), text, text, text, text)
    assert FactCursor.parse(cursor.text()) == cursor


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_"))
def test_any_other_text_is_no_place(text):
    with pytest.raises(RequestRefused):
        FactCursor.parse(text)


def test_the_files_have_the_numbers_of_the_page(an, town):
    town.take(1)
    town.take(2, "H55.13.1")
    an.get(REPORT)
    read: dict[str, Any] = {"xlsx": from_xlsx, "html": from_html, "csv": from_csv, "json": from_json, "xml": from_xml}
    offered = [link.rpartition(".")[2] for link in an.links() if link.startswith(f"{REPORT}.")]
    assert sorted(offered) == sorted([*read, "pdf"])
    assert an.get(f"{REPORT}.pdf").content.startswith(b"%PDF-")
    cells = []
    for kind, reader in read.items():
        answer = an.get(f"{REPORT}.{kind}")
        assert (answer.status, answer.filename) == (200, f"edoc_H55.13_{PERIOD}.{kind}")
        content = answer.content
        cells.append(reader(content.decode() if kind in {"html", "json"} else content))
    assert all(each == cells[0] for each in cells)
    assert an.get(f"{REPORT}.exe").status == 404


# --- whose it is ----------------------------------------------------------------------------------------------------------

ELSEWHERE = [
    f"/reports/edoc/H55/{PERIOD}",
    f"/reports/edoc/H55.01/{PERIOD}",
    f"/reports/edoc/H55.01/{PERIOD}.xlsx",
    f"/reports/edoc/H55.01/{PERIOD}/sent",
    f"/reports/edoc/H99/{PERIOD}",
    f"{REPORT}/sent?unit=H55.01",
    f"{REPORT}/sent?unit=",
    f"{REPORT}/none",
    f"/reports/none/H55.13/{PERIOD}",
    "/reports/edoc/H55.13/2026-13",
    "/reports/edoc/H55.13/%202026-12",
    "/reports/edoc/H55.13/2026-q4",
    "/messages/0",
    "/messages/00000000-0000-7000-8000-000000000099",
    "/messages/00000000-0000-7000-8000-000000000099/content",
    "/console/base.html.jinja",
    "/none",
]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_what_is_not_ours_looks_like_what_is_not_there(an, town, place):
    town.take(1, "H55.01", "H55.13")
    assert an.get("/none").status == 404
    nothing = re.sub(r'href="[^"]*"', "", an.page)
    assert an.get(place).status == 404
    assert re.sub(r'href="[^"]*"', "", an.page) == nothing


@pytest.mark.slow
def test_a_unit_and_those_below_it_are_open_and_no_others(town, an):
    below = signed_in(town, "binh", "H55.13.1")
    everywhere = signed_in(town, "chi", "*")
    operator = signed_in(town, "op", role=Role.OPERATOR)
    for unit, may in (
        ("H55", (False, False, True, True)),
        ("H55.01", (False, False, True, True)),
        ("H55.13", (True, False, True, True)),
        ("H55.13.1", (True, True, True, True)),
    ):
        got = tuple(each.get(f"/reports/edoc/{unit}/{PERIOD}").status for each in (an, below, everywhere, operator))
        assert got == tuple(200 if one else 404 for one in may), unit


def test_an_alias_leads_to_its_unit_and_opens_nothing_more(an):
    assert an.get(f"/reports/edoc/000.00.13.H55/{PERIOD}").location == REPORT
    assert an.get(f"/reports?form=edoc&unit=000.00.13.H55&period={PERIOD}").status == 303


def test_a_message_is_open_to_its_sender_and_its_recipients(town, an):
    recipient = signed_in(town, "binh", "H55.01")
    other = signed_in(town, "chi", "H55.30")
    message = town.take(1, "H55.13", "H55.01")
    for place in (f"/messages/{message}", f"/messages/{message}/content", f"/messages/{message}/receipt"):
        assert [each.get(place).status for each in (an, recipient, other)] == [200, 200, 404], place


def test_a_message_that_counted_for_a_unit_is_open_to_it(town, an):
    message = town.take(1, "H55.01", "H55.01")
    assert an.get(f"/messages/{message}").status == 404
    tell(town, "H55.13.1", 1, message=message)
    assert an.get(f"/messages/{message}").status == 200


def test_a_refused_message_is_open_to_operators_alone(town, an):
    """Whose it is was never established: it may be anybody's, in our name."""
    message = town.take(1, "H55.13", problems=(Problem("sender-not-allowed", "H55.13"),))
    everywhere = signed_in(town, "chi", "*")
    operator = signed_in(town, "op", role=Role.OPERATOR)
    got = [each.get(f"/messages/{message}").status for each in (an, everywhere, operator)]
    assert got == [404, 404, 200]
    assert "sender-not-allowed" in operator.page


def test_what_was_looked_up_is_open_to_operators_alone(town, an):
    message = town.take(1, service="lookups", subject="xác minh nhân thân bà X")
    operator = signed_in(town, "op", role=Role.OPERATOR)
    assert an.get(f"/messages/{message}").status == 200
    assert "bà X" not in an.page
    assert "m1" not in re.sub(r"<style.*", "", an.page.split("events")[1]), "bodies of events are left out"
    assert [an.get(f"/messages/{message}/{what}").status for what in ("content", "receipt")] == [404, 404]
    tell(town, "H55.13", 1, message=message, first=50)
    an.get(f"{REPORT}/sent")
    assert "bà X" not in an.page
    assert operator.get(f"/messages/{message}").status == 200
    assert "bà X" in operator.page


@pytest.mark.usefixtures("_listed")
@pytest.mark.slow
def test_which_dossier_was_looked_up_is_told_to_operators_alone(town, an):
    """Neither by the evidence in a workbook, nor by the address of the next page."""
    operator = signed_in(town, "op", role=Role.OPERATOR)
    for number in range(1, PAGE + 2):
        message = town.take(number, service="lookups")
        tell(
            town,
            "H55.13",
            1,
            message=message,
            service="lookups",
            milestone="judicial-record-requested",
            first=7000 + number,
        )
    report = REPORT.replace("edoc", "lookups")
    sheets = {
        browser: openpyxl.load_workbook(BytesIO(browser.get(f"{report}.xlsx").content)) for browser in (an, operator)
    }
    said = {browser: repr([list(sheet.values) for sheet in book]) for browser, book in sheets.items()}
    assert "k7001" in said[operator]
    assert "k70" not in said[an]
    assert an.get(f"{report}/judicial_record").status == 200
    (more,) = [link for link in an.links() if "after=" in link]
    assert "k70" not in base64.urlsafe_b64decode(more.rpartition("after=")[2] + "==").decode()
    first = facts(an)
    an.get(more)
    assert len({*first, *facts(an)}) == PAGE + 1


def test_a_message_whose_bytes_are_not_kept_says_so(town):
    operator = signed_in(town, "op", role=Role.OPERATOR)
    message = town.take(1, withheld=True, problems=(Problem("contract-broken", "it may tell of a person"),))
    assert operator.get(f"/messages/{message}").status == 200
    assert "không lưu các byte" in operator.page
    assert operator.get(f"/messages/{message}/content").status == 404


def test_what_the_hub_keeps_as_a_word_is_shown_by_its_name(town, an):
    message = town.take(1)
    with transactions.write_transaction(town.engine) as tx:
        changed = {"state": DeliveryState.HELD, "status": "02"}
        assert tx.execute(delivery.update().where(delivery.c.message == message).values(changed)).rowcount
    an.get(f"/messages/{message}")
    for name in ("văn bản điện tử, văn bản<", ">được nhận<", ">chờ đến lấy<", "trạng thái: từ chối tiếp nhận<"):
        assert name in an.page, name
    an.get(f"/messages/{message}?lang=en")
    for name in ("electronic documents, document<", ">accepted by the hub<", ">held<", "status: refused for receipt<"):
        assert name in an.page, name


def test_a_page_has_no_text_but_by_its_id():
    pages = sorted((ROOT / "hub/web/templates").glob("*.jinja"))
    assert pages
    for page in pages:
        text = re.sub(
            r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|<code>.*?</code>|<[^>]*>|SHA-256",
            "",
            page.read_text("utf-8"),
            flags=re.DOTALL,
        )
        words = re.findall(r"\w{2,}", text.replace("Tiếng Việt", "").replace("English", ""))
        assert not words, page.name


# --- what is shown is text ------------------------------------------------------------------------------------------------

EVIL = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{1234*8765}}"


def test_names_and_subjects_are_text_wherever_they_stand(town):
    with transactions.write_transaction(town.engine) as tx:
        unit_registry.write_registry_units(tx, [Unit("H55.66", EVIL, "H55"), Unit(f"H55.{EVIL}/..", EVIL, "H55.66")])
    operator = signed_in(town, "op", role=Role.OPERATOR)
    message = town.take(1, "H55.66", subject=EVIL, message_id=EVIL)
    with transactions.write_transaction(town.engine) as tx:
        changed = {"state": DeliveryState.DEAD, "reason": EVIL}
        assert tx.execute(delivery.update().where(delivery.c.message == message).values(changed)).rowcount
    report = f"/reports/edoc/H55.66/{PERIOD}"
    for place in ("/", "/units", "/events", "/?q=" + "%3Cscript%3E", report, f"{report}/sent", f"/messages/{message}"):
        assert operator.get(place).status == 200, place
        assert "<script" not in operator.page.lower()
        assert "<img" not in operator.page.lower()
        assert "10816010" not in operator.page
    operator.get(report)
    odd = next(link for link in operator.links() if "script" in link)
    assert operator.get(odd).status == 200, "a code may hold anything, and its address leads to it"


def test_what_was_typed_comes_back_as_text(an):
    an.get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script" not in an.page
    assert "Không có đơn vị nào khớp" in an.page
    Browser(an.town).get('/reports/%22%3E%3Cscript%3E/x/y?next=%22%3E%3Cscript%3E"')


# --- finding, and languages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", ["H55.13", "H55.13.1"]),
        ("so%20tt", ["H55.13"]),
        ("S%E1%BB%9F%20TT%26TT", ["H55.13"]),
        ("TRUNG%20TAM", ["H55.13.1"]),
        ("h55.13.1", ["H55.13.1"]),
        ("000.00.13.H55", ["H55.13"]),
        ("van%20phong", []),
        ("H55.01", []),
    ],
)
def test_units_are_found_by_code_or_name_with_diacritics_or_without(an, typed, found):
    an.get(f"/?q={typed}")
    assert re.findall(r'<a href="/reports/edoc/([^/]*)/2026-12">', an.page) == found


def test_an_operator_finds_every_unit(town):
    operator = signed_in(town, "op", role=Role.OPERATOR)
    operator.get("/?q=van%20phong&form=mail&period=2026-Q4")
    assert "/reports/mail/H55.01/2026-Q4" in operator.links()


def test_the_periods_to_choose_are_those_that_have_begun_by_the_provinces_cut_off(town):
    assert (town.now.month, town.now.day) == (11, 24)
    operator = signed_in(town, "op", role=Role.OPERATOR)
    operator.get("/units")
    assert ('value="2026-12"' in operator.page, "/reports/edoc/H55/2026-12" in operator.links()) == (True, True)
    town.reports = ReportSettings(cut_offs=((25, None),))
    other = signed_in(town, "other", role=Role.OPERATOR)
    other.get("/units")
    assert ('value="2026-12"' in other.page, "/reports/edoc/H55/2026-11" in other.links()) == (False, True)
    other.get("/reports/edoc/H55.13/2026-11")
    assert "25/10/2026" in other.page


def test_on_the_29th_of_february_the_reports_are_chosen_as_on_any_day(town):
    town.now = datetime(2028, 2, 29, 3, tzinfo=UTC)
    operator = signed_in(town, "op", role=Role.OPERATOR)
    operator.get("/units")
    assert "/reports/edoc/H55/2028-03" in operator.links()


def test_pages_are_vietnamese_unless_english_is_asked_for(an):
    an.get(REPORT)
    assert '<html lang="vi">' in an.page
    an.get(f"{REPORT}?lang=en")
    assert '<html lang="en">' in an.page
    an.get(REPORT)
    assert '<html lang="en">' in an.page, "and it is remembered"
    an.get(f"{REPORT}?lang=vi")
    an.languages = "en-GB,en;q=0.9,vi;q=0.5"
    an.get(REPORT)
    assert '<html lang="vi">' in an.page
    an.cookies.pop("__Host-lienthong-lang")
    an.get(REPORT)
    assert '<html lang="en">' in an.page


def test_an_open_period_says_until_when_it_is_counted(an, town):
    an.get(REPORT)
    assert "kỳ đang mở" in an.page
    town.now += timedelta(days=30)
    an.sign_in("an")
    an.get(REPORT)
    assert "kỳ đã kết thúc" in an.page


def test_a_report_over_facts_that_are_still_to_be_written_says_so_and_shows_no_number(town, monkeypatch):
    async def outstanding(services: Counted) -> None:
        assert services() == frozenset({"documents"})
        raise Unready("facts-outstanding", "1 messages, 9 facts")

    monkeypatch.setattr(town, "facts", outstanding)
    browser = signed_in(town, "an", "H55.13")
    answer = browser.get(REPORT)
    assert (answer.status, answer.retry_after) == (503, 5)
    assert "đang được ghi" in browser.page
    assert "1 messages, 9 facts" in browser.page


# --- a revision of a closed report ----------------------------------------------------------------------------------------


def revise_mail(town):
    """Close a month in which H55.13.1 sent 2 mails, send 7 more of it, and count it again. Return the late message."""
    late, month = town.take(1), parse_period("2026-11")
    said: Any = {"unit": "H55.13.1", "service": "mail", "milestone": "sent-internal", "message": late}
    said["day"] = month.first
    with transactions.write_transaction(town.engine) as tx:
        journal_facts.record_facts(tx, [Fact(key="a", at=month.end - timedelta(days=1), amount=2, **said)])
        closing.close_month(tx, read_shipped_book(), "mail", month, month.end + timedelta(days=1), "an")
        journal_facts.record_facts(tx, [Fact(key="b", at=month.end + timedelta(days=2), amount=7, **said)])
        row_revisions.revise_unit(
            tx, "mail", "2026-11", "H55.13.1", reason="", by="hub", now=month.end + timedelta(days=3)
        )
    return late


def test_a_revised_report_says_so_names_the_change_and_the_message_and_leads_to_the_revision_before(an, town):
    late, place = revise_mail(town), "/reports/mail/H55.13/2026-11"
    an.get(place)
    page = unescape(an.page)
    assert "Bản lần 2 của báo cáo đã đóng" in page
    assert "(H55.13.1), Tháng 11 năm 2026: bản lần 2 lúc 18/11/2026 00:00, người lập hub" in page
    assert "2 → 9" in page
    assert "có kết quả ghi nhận đến sau khi đóng kỳ" in page
    assert f"/messages/{late}" in an.links()
    assert cell(an, "sent_internal", "H55.13.1")[0] == "9"
    before = f"{place}?revision=1"
    assert before in an.links()
    assert an.get(before).status == 200
    assert "Đây là một bản cũ." in an.page
    assert "Bản lần 2 của báo cáo đã đóng" not in an.page
    assert re.search(r'data-column="sent_internal"[^>]*><span>2</span>', an.page), "its facts are no longer known"
    assert an.get(f"{place}?revision=3").status == 404
    assert an.get(f"{place}?revision=x").status == 404


# --- unusual figures of a closed month ------------------------------------------------------------------------------------


def close_with_a_spike(town):
    """Close three months in which H55.13.1 and H55.01 sent 40 mails each, and a fourth in which they sent 121."""
    sent = town.take(1)
    for text, amount in (("2026-08", 40), ("2026-09", 40), ("2026-10", 40), ("2026-11", 121)):
        month, said = parse_period(text), {"service": "mail", "milestone": "sent-internal", "message": sent}
        said |= {"day": month.first, "at": month.end - timedelta(days=1), "key": text, "amount": amount}
        with transactions.write_transaction(town.engine) as tx:
            journal_facts.record_facts(tx, [Fact(unit=unit, **said) for unit in ("H55.13.1", "H55.01")])
            closing.close_month(tx, read_shipped_book(), "mail", month, month.end + timedelta(days=1), "hub")


def test_the_report_of_a_month_lists_the_unusual_figures_of_its_units_and_opens_them(an, town):
    close_with_a_spike(town)
    an.get("/reports/mail/H55.13/2026-11")
    page = unescape(an.page)
    assert "1 số liệu bất thường" in page
    assert ": 121; trung bình 3 tháng trước là 40,00. Cần xem" in page
    assert "(H55.01)" not in page, "another unit's"
    opened = "/reports/mail/H55.13/2026-11/sent_internal?unit=H55.13.1"
    assert opened in an.links()
    assert an.get(opened).status == 200
    an.get("/reports/mail/H55.13/2026-10")
    assert "bất thường" not in an.page
    clerk = signed_in(town, "chi", "H55.13", role=Role.CLERK)
    clerk.get("/")
    assert "/reports/mail/H55.13/2026-11#unusual" in clerk.links()
