"""No reader is told a word that has no text: all is said in a language that nobody speaks, and no other word may be left.

What is data keeps its letters: names, codes, keys, commands, files, quoted values, what a library said.  Each test says what that
is where it looks.
"""

import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from email import message_from_bytes, policy
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import openpyxl
import pytest
from lxml import etree, html
from pypdf import PdfReader
from twisted.web.test.requesthelper import DummyRequest

from adapters.mail.letter import write_mail
from hub.config import Partner
from hub.console import request
from hub.domain.errors import SENTENCES
from hub.domain.model import Fact, Problem, Receive
from hub.formats.spool import Octets
from hub.journal import facts as journal_facts
from hub.language.languages import Language
from hub.node import admin
from hub.operations import refusals
from hub.operations.accounts import second_factor
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.operations.reports import standing
from hub.report.counting.counting import Cells, Report, assemble_report
from hub.report.counting.evidence import EvidenceLine
from hub.report.form.book import read_shipped_book
from hub.report.form.folder import read_form_folder
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.report.output import outputs, pdf, svg, workbook
from hub.report.output.charts import list_chart_periods, make_plots
from hub.report.workbooks.template_workbook import write_template_workbook
from hub.runtime.thread_pool import run_at_once
from hub.services.incidents import Incident, notice
from hub.soap import envelope
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.web import public_pages
from hub.workload import submission
from tests import homes, pki
from tests.conftest import ROOT
from tests.consigned import consigned
from tests.console_town import Browser, Town, done
from tests.language import failed_hub, planting, pseudo
from tests.language.pseudo import disguised, unmarked
from tests.officials import BINH, official, officials
from tests.province import NOW, UNITS

PERIOD = "2026-12"
CODE = r"\bH55(?:\.[0-9]+)*\b"
SHA256 = r"\b[0-9a-f]{16,64}\b"
ACCOUNT = rf"\b{re.escape(pwd.getpwuid(os.geteuid()).pw_name)}\b"
NAMES = {unit.code: unit.name for unit in UNITS}
UNIT_NAMES = "|".join(
    re.escape(name).replace(r"\ ", r"\s+").replace(r"\&", "&+")
    for unit in sorted(NAMES.values(), key=len, reverse=True)
    for name in (unit, unit.upper())  # a heading on paper is in capitals
)
FORMS = read_form_folder()
FORM_NAMES = [form.id for form in FORMS]
FORM_IDS = rf"\b(?:{'|'.join(FORM_NAMES)})\b"


#: What Python, the system and OpenSSL say of a file; it is theirs, and English everywhere.
FOREIGN = (
    r"Invalid statement \(at line \d+, column \d+\)",
    r"invalid start byte",
    r"unexpected end of data",
    r"Expecting property name enclosed in double quotes: line 1 column 2 \(char 1\)",
    r"not well-formed \(invalid token\)|syntax error",
)


def all_said(texts: Iterable[str], *data: str) -> None:
    """Fail with each word that has no text and a line in which it stands; *data*: regular expressions of what needs none."""
    found = {word: line for text in texts for word, line in unmarked(text, *data).items()}
    assert not found, "\n".join(f"{word}: {line}" for word, line in sorted(found.items()))


# --- the command line -----------------------------------------------------------------------------------------------------


def of_child(what: str) -> dict[str, str]:
    """Return what `python -m tests.language.pseudo` prints."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.language.pseudo", what], stdout=subprocess.PIPE, check=True, cwd=ROOT
    )
    found: dict[str, str] = json.loads(child.stdout)
    return found


@pytest.mark.slow
def test_the_help_of_every_command_and_what_click_says_of_a_wrong_line() -> None:
    pages = of_child("help")
    assert len(pages) > 60
    data = (
        rf"(?s)\n *{disguised('Examples:')}\n.*",  # command lines, to the end
        r"(?m)^[^ \n]+: lienthong.*(?:\n {8,}.*)*",  # usage
        r"(?m)^  [a-z-]+(?=  )",  # the names of commands
        r"(?<![\w-])--?[a-z][\w-]*",
        r"\[(?:[a-z0-9-]+\|)+[a-z0-9-]+\]",
        r"'[^']*'",
        r"\b[A-Z]{2,}(?:\.{3})?(?: RANGE)?\b",  # metavars
        r"\b(?:sqlite:///data/hub\.db|sqlite|edoc|rsa|accept)\]",  # defaults
        r"see-reports,[a-z,\s-]+\.",  # permissions
        r'"(?:sqlite:///PATH|postgresql://USER@HOST/DATABASE)"',
        ACCOUNT,
    )
    all_said(pages.values(), *data)


@pytest.mark.slow
def test_what_commands_say_over_a_hub_without_messages() -> None:
    outputs = of_child("commands")
    assert len(outputs) > 50
    data = (
        r"(?m)^ +(?:lienthong|twistd) .*",  # the next command
        r"(?m)^[^ \n]+: lienthong.*",  # usage
        r"(?m)^  [a-z][\w.-]+ {2,}\S.*?(?=  \()",  # a setting and its value,
        rf"(?<={disguised('default')} )\S+(?=\))",  # and its default
        r"\bCN=[^→;]*",
        r"(?:  |,)[^,\n\u0400-\u04ff]*?\(mẫu\)",  # names of units and partners
        r"(?m)^[^ \n]+ +[a-z]+ ",  # of `verify`: whether it holds, and the code of the check
        r"'[^']*'",
        r"(?:--to|\bpartners/\w+\.toml): (?:certificates|policy\.timeout)?|--to\b",
        r'"(?:kind|error|exit_code)"(?:: "error")?|\btrust add(?=: )|\bnone/x\.csv|\bAGE-SECRET-KEY-1',
        rf"(?:{re.escape(tempfile.gettempdir())}|https:/|\btinh)/[\w./:-]*|\b[a-z]+\.(?:zip|xlsx|db|json|jsonl|xml|toml)\b",
        r"\bcode, name, parent, since, until, aliases, successors, mark, level, kind, from\b|\bcolumns: ",
        r"\b(?:report-not-closed|not-well-formed): |\bURL\b|\breports\b|\bnope\b",
        r"\b(?:sotttt|vpub|vpcp|nobody|nonsense|qx(?:: x)?)\b|\bwork\.TellWork\b",
        r"^Trục liên thông tỉnh \(mẫu\)|\bpartner-(?:paused|resumed)\b",
        rf"\b(?:documents|categories|verdicts|{'|'.join(FORM_NAMES)})\b|\bservices\b|\((?:push|fetch)\)",
        CODE,
        SHA256,
        *FOREIGN,
    )
    all_said(outputs.values(), *data)


@pytest.mark.slow
def test_what_commands_say_over_a_hub_at_which_much_failed() -> None:
    outputs = of_child("failed")
    assert len(outputs) > 70
    data = (
        r"(?m)^[^ \n]+: lienthong.*",  # usage
        r"(?m)^  [a-z][\w.-]+ {2,}\S.*?(?=  \()",  # a setting and its value,
        rf"(?<={disguised('default')} )\S+(?=\))",  # and its default
        r"\bCN=[^\u0400-\u04ff]*|\bpki/partners/\S+",
        r"\b(?:categories|dossiers|incidents|mail|reports|verdicts|work\.TellWork)(?= \()",
        r"(?:  |,)[^,\n\u0400-\u04ff]*?\(mẫu\)",  # names of units and partners
        r"^Trục liên thông tỉnh \(mẫu\)|V/v kết nối|\d+/VPUB",
        r"\blienthong trace \S+",
        r"'[^']*'",
        r'"(?:kind|error|exit_code)"|(?<="kind": )"error"',
        r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
        r"\[?\b(?:too-large|unit-unknown|certificate-unknown|not-well-formed)\b",  # a code, which is beside its sentence
        r"\b(?:sotttt|vpub|vpcp|documents)\b|\((?:accepted|refused|dead|push|fetch)\)|\bms\b",
        CODE,
        SHA256,
        *FOREIGN,
    )
    all_said(outputs.values(), *data)


# --- mistakes of a configuration ------------------------------------------------------------------------------------------

#: The arguments of texts that are names: of keys, files, codes, words of TOML.
NAMED = frozenset(
    {"alias", "code", "column", "columns", "ends", "file", "fit", "home", "key", "keys", "operation"}
) | frozenset({"operations", "owner", "owners", "path", "places", "taken", "unitmark", "units", "word", "words"})
QUOTED = (r"'[^']*'", r'"[^"]*"', r"\w+ = ", r"\[\[?\w+\]?\]", r"\b(?:true|false)(?= |\}|,)")


@pytest.mark.slow
def test_hundreds_of_mistakes_of_a_configuration(tmp_path: Path) -> None:
    found = {
        (each.path, each.wrong.id, each.expected.id): each for each in planting.planted(homes.begin(tmp_path / "tinh"))
    }
    assert len(found) >= 300
    assert len({each.wrong.id for each in found.values()} | {each.expected.id for each in found.values()}) >= 100
    with pseudo.spoken():
        said = [pseudo.said(text, NAMED) for each in found.values() for text in (each.wrong, each.expected)]
    all_said(said, *QUOTED, *FOREIGN)


# --- pages ----------------------------------------------------------------------------------------------------------------


def seen(page: str | bytes) -> Iterator[str]:
    """Yield each text of a page that a person sees or is read out, but for codes and commands."""
    for each in html.fromstring(page).iter():
        if not isinstance(each.tag, str):
            continue
        yield each.tail or ""
        if each.tag not in {"style", "script", "code"} and "code" not in (each.get("class") or "").split():
            yield each.text or ""
            yield from (each.get(name, "") for name in ("alt", "title", "aria-label", "placeholder"))


def a_busy_town(town: Town) -> list[str]:
    """Let something of each kind happen; return the messages."""
    town.officials = officials(official(), official("binh", BINH, units=("H55.01",)))
    refused = {"problems": (Problem("sender-not-allowed", "H55.13"),)}
    said: list[dict[str, Any]] = [{}, refused, refused | {"withheld": True}]
    taken = [town.take(number, **each) for number, each in enumerate(said, 1)]
    with transactions.write_transaction(town.engine) as tx:
        for form in FORMS:
            if form.service not in {"documents", ""}:
                milestone = min(one for column in form.columns for one in column.milestones | column.furthest)
                told = {"unit": "H55.13", "service": form.service, "key": "k", "milestone": milestone, "at": NOW}
                journal_facts.record_facts(tx, [Fact(**cast("Any", told), message=taken[0], amount=7)])
    return taken


NUMBERS = "|".join(re.escape(form.number) for form in FORMS if form.number) or "-"
#: On the console: names of units, of the hub (“Tỉnh”), of users, partners and files; subjects; an official's name.
SHOWN = (
    UNIT_NAMES,
    CODE,
    SHA256,
    FORM_IDS,
    NUMBERS,
    r"\bTỉnh\b",
    r"\b(?:sotttt|vpub)\b",
    r"V/v kết nối",
    r"7816/VPUB",
    r"\b(?:min|max)\(",
    r"(?<=\d )[kMG]?B\b",  # a size
)


#: Roles that between them are shown every page and every part of one; what the others see is part of it.
SEEING_MOST = {Role.VIEWER, Role.CLERK, Role.OPERATOR, Role.ADMINISTRATOR}


@pytest.mark.slow
@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=() if role in SEEING_MOST else pytest.mark.soak) for role in Role]
)
def test_every_page_of_the_console(town: Town, role: Role) -> None:
    taken = a_busy_town(town)
    town.add("qx", *(() if role is Role.OPERATOR else ("H55.13",)), role=role)
    pages: dict[str, str] = {}
    with pseudo.spoken():
        browser = Browser(town)
        assert browser.sign_in("qx").status == 303
        places = ["/", "/account", "/readiness", "/nonsense", *(f"/messages/{each}" for each in taken)]
        places += [
            f"/{what}/edoc/H55.13/{each}" for what in ("signing", "declarations") for each in (PERIOD, "2026-11")
        ]
        places += [f"/reports/{form.id}/H55.13/{PERIOD}" for form in FORMS] + ["/?find=s", "/?find=qqq"]
        kinds = set()
        while places:
            place = places.pop(0)
            kind = re.sub(r"[?].*", "", place) if "/reports/" not in place else place.count("/")
            if (
                place in pages
                or place.startswith(("/help", "/console"))
                or (kind in kinds and not place.endswith(PERIOD))
            ):
                continue
            kinds.add(kind)
            answer = browser.get(place)
            if answer.content_type.startswith("text/html") and answer.content:
                pages[place] = browser.page
                places += [each for each in browser.links() if each.startswith("/")]
        browser.get(f"/declarations/edoc/H55.13/{PERIOD}")
        browser.post(f"/declarations/edoc/H55.13/{PERIOD}", file=Octets.of(b"x"))
        pages["misfilled"] = browser.page
        browser.get("/signing/edoc/H55.13/2026-11")
        browser.post("/signing/edoc/H55.13/2026-11", file=Octets.of(b"x"))
        pages["unsigned"] = browser.page
    assert len(pages) > 25
    events = r"\b[a-z_0-9]+: (?:[\w.-]+|\[.*\])(?=$| ·| \()"  # its keys and their values, as docs/reference/events.md has them
    refusal = r"sender-not-allowed(?:: )?"
    certificate = r"CN=[^=]+,O=[^=]+,C=VN"  # its owner and its issuer
    formats = r"\b(?:CSV|HTML|JSON|PDF|XLSX|XML|RSA|SHA-256|kB|MB)\b"
    roman = r"\bI[IVX]+\b"
    readiness = r"unavailable|ok|/var/run/postgresql/.s.PGSQL.5432: <gone>"
    languages = r"^\s*(?:Tiếng Việt|English)\s*$"
    folder = r"^\s*archive\s*$"  # of the archive files
    data = (refusal, events, certificate, *SHOWN, r"\b(?:qx|test)\b", languages, folder, readiness, formats, roman)
    all_said((text for page in pages.values() for text in seen(page)), *data)


def test_the_overview_and_the_failures_of_a_hub_at_which_much_failed(town: Town) -> None:
    town.partners = {
        code: Partner(code=code, name="–", certificates=(pki.partner(code).certificate,), receive=receive)
        for code, receive in (("sotttt", Receive.FETCH), ("vpub", Receive.PUSH), ("vpcp", Receive.PUSH))
    }
    known = failed_hub.fill_journal(town.engine, NOW)
    town.add("qx", role=Role.OPERATOR)
    with pseudo.spoken():
        browser = Browser(town)
        assert browser.sign_in("qx").status == 303
        pages = {}
        for place in ("/", "/failures", "/messages", "/events", "/partners", *(f"/messages/{each}" for each in known)):
            assert browser.get(place).status == 200, place
            pages[place] = browser.page
    # codes, each of which is beside its sentence, or the value of a field of an event
    codes = r"\b(?:too-large|unit-unknown|certificate-unknown)\b"
    written = r"\b(?:CSV|JSON|RSA|SHA-256|ms)\b"
    own = (r"\b(?:qx|vpcp|n|m\d+|10\.0\.0\.1)\b", r"CN=[^=]+,O=[^=]+,C=VN", r"^\s*(?:Tiếng Việt|English|test)\s*$")
    data = (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", codes, *SHOWN, written, *own)
    all_said((text for page in pages.values() for text in seen(page)), *data)


def test_signing_in_and_what_is_refused(town: Town) -> None:
    pages = []
    with pseudo.spoken():
        stranger = Browser(town)
        stranger.get("/")
        pages.append(stranger.page)  # there is no user yet
        town.add("qx", "H55.13")
        for _ in range(8):
            stranger.get("/account")
            stranger.post("/sign-in", name="qx", password="x", next="/")
            pages.append(stranger.page)
        town.wait(hours=1)
        browser = Browser(town)
        assert browser.sign_in("qx").status == 303
        for old, new, again in (
            ("x", "y", "y"),
            ("x", "qx" * 9, "qx" * 9),
            ("x", "một mật khẩu dài", "khác"),
            ("x", *["một mật khẩu dài"] * 2),
        ):
            browser.get("/account")
            browser.post("/account", old=old, new=new, again=again)
            pages.append(browser.page)
        with transactions.write_transaction(town.engine) as tx:
            assert second_factor.enrol_user(tx, "qx", "A" * 32, by="x", now=town.now)
        coded = Browser(town)
        assert coded.get(str(coded.sign_in("qx").location)).status == 200
        pages.append(coded.page)
        coded.post("/sign-in/code", code="x", next="/")
        pages.append(coded.page)
        refused = [each for name, each in (vars(request) | vars(refusals)).items() if name.startswith("refuse_")]
        assert len(refused) >= 8
        for each in refused:
            given = ("–", 5) if each is refusals.refuse_outstanding_duties else ()
            pages.append(browser.pages.refusal(request.ConsoleRequest(), each(*given)).content.decode())
    assert len(set(pages)) > 15
    data = (r"\bTỉnh\b", r"\bqx\b", r"^\s*(?:Tiếng Việt|English)\s*$")
    all_said((text for page in pages for text in seen(page)), *data)


def test_the_public_pages_and_the_page_of_contracts(town: Town) -> None:
    operator = User(name="op", role=Role.OPERATOR, units=("*",), added_at=NOW, changed_at=NOW)
    with pseudo.spoken():
        live = town.pages().parts.live
        with transactions.write_transaction(town.engine) as tx:
            counted = standing.count_report_for_release(
                tx, operator, read_shipped_book(), "edoc", "H55.13", "2026-11", NOW
            )
            submission.publish_report(tx, live.province, counted, reason="", by="op", now=NOW)
        pages = public_pages.PublicPages(InlineDatabase(town.engine), run_at_once, live, lambda: "https://hub/public")
        report = done(pages.page("reports/edoc/H55.13/2026-11.html")).content
        feed = done(pages.page("feed.atom")).content
        asked: Any = DummyRequest([b""])
        asked.postpath = []
        contracts = (
            admin.make_admin_resource(cast("Any", None), dict).getChildWithDefault(b"contracts", asked).render(asked)
        )
        none = public_pages._answer_page(cast("Any", SimpleNamespace(method=b"GET", setHeader=lambda *_: None)), None)
    all_said(seen(report), *WRITTEN)
    told = etree.fromstring(feed)
    title = re.escape(next(form.title.vi for form in FORMS if form.id == "edoc"))  # as the journal keeps it
    all_said((each.text or "" for each in told.iter("{*}title", "{*}summary", "{*}subtitle")), title, CODE, r"\bTỉnh\b")
    all_said(seen(contracts), r"^/?(?:contracts/)?[\w/.-]+\.(?:wsdl|xsd|toml)$")
    all_said([none.decode()])


# --- answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soap", [envelope.SOAP11, envelope.SOAP12])
def test_the_fault_of_each_error(soap: str) -> None:
    with pseudo.spoken():
        for code in SENTENCES:
            problem = Problem(f"{code}q" if code.endswith(".") else code)
            fault = etree.fromstring(
                envelope.write_fault("urn:x", [problem] * 2, server=False, tracking="t", soap=soap)
            )
            said = [each.text or "" for each in fault.iter("{*}faultstring", "{*}Text", "{*}Description")]
            assert len(said) >= 4
            all_said(said)


# --- reports --------------------------------------------------------------------------------------------------------------

#: In a report: names of units, codes, the ids and official numbers of forms, the number of a section, a hash.
WRITTEN = (UNIT_NAMES, CODE, NUMBERS, FORM_IDS, SHA256, r"\bSHA-256\b", r"\bI[IVX]*\b", r"\b(?:min|max)\(")


UNITS_OF = ("H55.13", "H55.13.1", "H55.01")


def report_of(form: Form, period: str) -> Report:
    """Return a report of three units in which each cell has a number, so that checks find what does not add up."""
    span = parse_period(period)
    cells = {}
    for number, unit in enumerate(UNITS_OF, 1):
        none = Cells.none(form)
        taken = (column.key for column in form.columns if column.taken is not None)
        sums = {key: number * 7 + place for place, key in enumerate((*none.sums, *taken))}
        cells[unit] = attrs.evolve(none, sums=sums)
    return assemble_report(form, span, NOW, UNITS_OF, cells)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
@pytest.mark.slow
def test_each_output_of_each_form(form: Form) -> None:
    milestone = min((one for column in form.columns for one in column.milestones | column.furthest), default="sent")
    fact = Fact(unit="H55.13", service=form.service or "documents", key="q7", milestone=milestone, at=NOW, message="7")
    lines = [EvidenceLine(fact, ())]
    with pseudo.spoken():
        counted = report_of(form, PERIOD)
        plots = make_plots(counted, NAMES, [report_of(form, each) for each in list_chart_periods(counted)])
        page = outputs.write_html_report(counted, NAMES, charts=plots)
        printed = PdfReader(BytesIO(pdf.write_pdf_report(counted, NAMES, lines, charts=plots)))
        written = workbook.write_xlsx_report(counted, NAMES, lines, charts=plots)
        heads = outputs.write_csv_report(counted, NAMES).decode("utf-8-sig")
        asked = write_template_workbook(form, counted.period, UNITS_OF, NAMES)
        drawn = [svg.draw_plot(plot, Language.VI, "c") for plot in plots]
    all_said(seen(page), *WRITTEN)
    all_said((each.extract_text() for each in printed.pages), *WRITTEN)
    all_said(map(str, dict(printed.metadata or {}).values()), r"^D:.*|^Typst .*", r"\b2026-12\b", *WRITTEN)
    all_said(cells_of(written), r"^q7$", *WRITTEN)
    all_said([heads], *WRITTEN)
    all_said(cells_of(asked), *WRITTEN)
    all_said((each.text or "" for root in drawn for each in etree.fromstring(root).iter("*")), *WRITTEN)


def cells_of(content: bytes) -> Iterator[str]:
    """Yield what a person reads in a workbook: titles of sheets, cells that are seen, headers and footers."""
    book = openpyxl.load_workbook(BytesIO(content))
    for sheet in book.worksheets:
        yield sheet.title
        for row in sheet.iter_rows():
            hidden = sheet.row_dimensions[row[0].row].hidden
            for cell in row:
                if (
                    isinstance(cell.value, str)
                    and not hidden
                    and not sheet.column_dimensions[cell.column_letter].hidden
                ):
                    yield cell.value if cell.data_type != "f" else ""
        for part in (sheet.oddHeader, sheet.oddFooter):
            yield from (each.text or "" for each in (part.left, part.center, part.right))
        for each in sheet.data_validations.dataValidation:
            yield from (each.error or "", each.errorTitle or "", each.prompt or "", each.promptTitle or "")
    yield from (book.properties.title or "", book.properties.creator or "", book.properties.description or "")


# --- letters --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["documents", "dossiers", "incidents"])
def test_the_letter_of_mail(service: str) -> None:
    with pseudo.spoken():
        carried = consigned(b"<x/>", service=service, to=("H55.13",))
        letter = message_from_bytes(
            write_mail(carried, "a@b.example", ["c@d.example"], pki.partner("hub"), NOW), policy=policy.default
        )
    (text,) = (part.get_content() for part in letter.walk() if part.get_content_type() == "text/plain")
    carried_by = (r"\bsotttt\b", CODE, SHA256, r"[0-9a-f]{8}-[0-9a-f-]{27}", r"V/v kết nối")
    all_said([text, letter["Subject"]], *carried_by)


@pytest.mark.parametrize("kind", ["opened", "closed"])
def test_the_notice_of_an_incident(kind: str) -> None:
    happened = Incident(
        id="SC-1",
        unit="H55.13",
        kind=kind,
        name="qx",
        severity="critical",
        time=NOW,
        host="may1.example",
        text="Mã độc",
    )
    with pseudo.spoken():
        text = notice.write_incident_text(happened, NAMES)
        packet = etree.fromstring(notice.write_incident_packet(happened, "H55.13", ["H55.01"], NOW, NAMES))
    told = (r"\bSC-1\b", r"\bqx\b", r"\bmay1\.example\b", r"Mã độc", *WRITTEN)
    all_said([text, *(each.text or "" for each in packet.iter("{*}Subject", "{*}Place"))], *told)
