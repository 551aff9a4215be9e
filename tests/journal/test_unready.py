"""A closed month says of which partners messages may be missing, and why; and a unit without traffic has a signed zero."""

import json
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import attrs
import openpyxl
import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from hub.config.reports import Teller
from hub.domain.ids import make_id
from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.journal.queue import collection_rounds
from hub.language.languages import Language
from hub.report.counting.marks import SilenceKind
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.output import closing_lines, formats, validating
from hub.report.signed import sealed
from hub.store import tables
from hub.store.transactions import Transaction
from hub.workload import closing, closing_plan, revisions, silences, submission, unit_report
from tests.journal import test_signed_revisions as signing
from tests.journal.test_closing import AFTER, dossier, on, put, told
from tests.officials import by_xmlsec
from tests.opened import lines_of
from tests.pki import NOW, partner

SHIPPED = read_shipped_book()
NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")
ONE_STOP, AXIS = Teller("motcua", ("H55.1",)), Teller("truc", collected=True)
BOOK = attrs.evolve(SHIPPED, tellers=(ONE_STOP, AXIS))
#: noon of the first working day after November 2026 (15/10 to 14/11, a Saturday)
NOON = on("2026-11-16 12:05")


def speak(tx: Transaction, name: str, *days: str, service: str = "dossiers", state: str = "accepted") -> None:
    """Record a message of the partner *name* at noon of each of *days*."""
    for day in days:
        at = on(day)
        row = {"id": make_id(at), "partner": name, "message_id": f"{name} {day} {service}", "service": service}
        more = {"kind": "k", "state": state, "received_at": at, "sha256": "0" * 64, "size": 1}
        tx.execute(sa.insert(tables.message), [row | more])


def list_days(first: str, count: int) -> list[str]:
    begun = datetime.fromisoformat(first)
    return [f"{begun + timedelta(days=each):%Y-%m-%d}" for each in range(count)]


def collect(tx: Transaction, at: datetime, *, fails: bool = False) -> None:
    """Ask the axis for its messages at *at*."""
    found = collection_rounds.begin_round(tx, "truc", "node", at, timedelta(minutes=1))
    assert found is not None
    if fails:
        collection_rounds.fail_round(tx, found, "unavailable", at, at)
    else:
        collection_rounds.end_round(tx, found, "", at, at)


def find(tx: Transaction) -> list[tuple[str, SilenceKind]]:
    return [(each.partner, each.kind) for each in silences.find_silences(tx, BOOK.tellers, BOOK.workdays, NOVEMBER)]


def close(tx: Transaction, form: str = "ii06a") -> None:
    """Close November as it is told at noon: one dossier of each of two units."""
    unit_registry.write_registry_units(
        tx, [Unit("H55", "Tỉnh"), Unit("H55.1", "Sở", "H55"), Unit("H55.2", "Ban", "H55")]
    )
    told_at = "2026-11-03 09:00"
    put(tx, *(dossier(unit, "received", "2026-11-02", told_at, unit=unit) for unit in ("H55.1", "H55.2")))
    closing.close_month(tx, BOOK, form, NOVEMBER, NOON, "an")


def write(tx: Transaction, kind: str, unit: str, form: str = "ii06a") -> Any:
    asked = unit_report.resolve_report_sources(tx, unit, "2026-11", form, BOOK)
    report = asked.count(AFTER)
    content = formats.write_report(kind, report, asked.names, lines_of(asked, AFTER), Language.EN, partner("hub"))
    return content.decode() if kind in {"html", "json", "xml"} else content


class TestAPartnerIsMissed:
    """A partner is missed if it told something on most days and nothing on the last three working days."""

    def test_when_it_falls_silent_before_them(self, tx):
        speak(tx, "motcua", *list_days("2026-10-20", 22))  # until Tuesday, 10 November
        assert find(tx) == [("motcua", SilenceKind.UNHEARD)]

    def test_not_when_it_was_heard_on_one_of_them(self, tx):
        speak(tx, "motcua", *list_days("2026-10-20", 22), "2026-11-11")
        assert find(tx) == []

    def test_not_when_it_was_heard_after_the_month(self, tx):
        speak(tx, "motcua", *list_days("2026-10-20", 22), "2026-11-16")
        assert find(tx) == []

    def test_though_it_calls_and_all_is_refused(self, tx):
        speak(tx, "motcua", *list_days("2026-10-20", 22))
        speak(tx, "motcua", "2026-11-11", "2026-11-12", "2026-11-13", state="refused")
        assert find(tx) == [("motcua", SilenceKind.UNHEARD)]

    def test_not_when_it_tells_once_a_week(self, tx):
        speak(tx, "motcua", "2026-10-12", "2026-10-19", "2026-10-26", "2026-11-02", "2026-11-09")
        assert find(tx) == []

    @pytest.mark.parametrize(("days", "missed"), [(9, False), (10, True)])
    def test_from_ten_days_on(self, tx, days, missed):
        speak(tx, "motcua", *list_days("2026-10-20", days))
        assert bool(find(tx)) is missed

    def test_not_when_it_was_never_heard_or_is_no_partner(self, tx):
        speak(tx, "nobody", *list_days("2026-10-20", 22))
        assert find(tx) == []


class TestACollectionIsUnread:
    """What a partner holds for the hub was read if a round was answered after the month."""

    @pytest.mark.parametrize(
        ("at", "fails", "unread"),
        [("2026-11-14", False, True), ("2026-11-15", False, False), ("2026-11-15", True, True)],
    )
    def test_unless_a_round_was_answered_after_the_month(self, tx, at, fails, unread):
        collect(tx, on(at), fails=fails)
        assert find(tx) == ([("truc", SilenceKind.UNREAD)] if unread else [])

    def test_not_where_nobody_ever_asked(self, tx):
        assert find(tx) == []


class TestAReportOfSuchAMonth:
    """Each output says at the top that the report is not ready, and why, for the units and services concerned."""

    @pytest.fixture
    def silent(self, tx):
        speak(tx, "motcua", *list_days("2026-10-20", 22))
        close(tx)
        return tx

    def test_says_so_where_a_unit_of_the_partner_is_in_it(self, silent):
        for unit, said in (("H55", True), ("H55.1", True), ("H55.2", False)):
            for kind in ("html", "json", "xml"):
                assert ("motcua" in write(silent, kind, unit)) is said, (unit, kind)

    def test_says_so_in_the_workbook_and_in_the_pdf(self, silent):
        book = openpyxl.load_workbook(BytesIO(write(silent, "xlsx", "H55")))
        assert str(book["Report"]["A6"].value).startswith("NOT READY")
        text = " ".join(page.extract_text() for page in PdfReader(BytesIO(write(silent, "pdf", "H55"))).pages)
        assert "motcua, which tells on most days" in " ".join(text.split())

    def test_says_since_when_in_the_language_of_the_reader(self, silent):
        page = write(silent, "html", "H55")
        assert "NOT READY" in page
        assert "2026-11: motcua, which tells on most days, was not heard since 10/11/2026 12:00" in page

    def test_is_the_same_when_read_back_from_the_sealed_octets(self, silent):
        (found,) = sealed.read_sealed_report(write(silent, "xml", "H55").encode()).report.marks.silences
        assert (found.partner, found.kind, found.since) == ("motcua", SilenceKind.UNHEARD, on("2026-11-10"))
        assert (found.period, found.units, found.services) == ("2026-11", ("H55.1",), ("dossiers",))

    def test_stays_as_it_was_at_the_closing(self, silent):
        before = write(silent, "xml", "H55.1")
        speak(silent, "motcua", "2026-11-17")
        assert write(silent, "xml", "H55.1") == before

    @pytest.mark.slow
    def test_of_a_quarter_says_it_too(self, silent):
        asked = unit_report.resolve_report_sources(silent, "H55.1", "2026-Q4", "ii06a", BOOK)
        assert [each.period for each in asked.marks.silences] == ["2026-11"]

    def test_that_takes_from_others_says_it_once(self, silent):
        closing.close_month(silent, BOOK, "edoc", NOVEMBER, NOON, "an")
        closing.close_month(silent, BOOK, "mail", NOVEMBER, NOON, "an")
        said = json.loads(write(silent, "json", "H55", "tonghop"))["closing"]["silences"]
        assert [each["partner"] for each in said] == ["motcua"]

    def test_of_another_service_says_nothing(self, silent):
        closing.close_month(silent, BOOK, "mail", NOVEMBER, NOON, "an")
        assert "motcua" not in write(silent, "html", "H55", "mail")

    def test_is_named_in_the_event_of_the_closing(self, silent):
        (event,) = told(silent, "period-closed")
        assert event["silences"] == ["motcua unheard"]


class TestTheHubWaits:
    """The hub closes a month by itself a working day later while a partner is missed. A person need not wait."""

    @pytest.fixture
    def silent(self, tx):
        speak(tx, "motcua", *list_days("2026-10-20", 22))
        put(tx, dossier("1", "received", "2026-11-02", "2026-11-03 09:00"))
        return tx

    @pytest.mark.parametrize(
        ("at", "waits"),
        [
            ("2026-11-16 12:01", False),
            ("2026-11-16 12:02", True),
            ("2026-11-17 12:01", True),
            ("2026-11-17 12:02", False),
        ],
    )
    def test_until_noon_of_the_second_working_day(self, silent, at, waits):
        assert bool(closing_plan.find_awaited_partners(silent, BOOK, on(at))) is waits

    def test_until_it_is_heard(self, silent):
        speak(silent, "motcua", "2026-11-16")
        assert not closing_plan.find_awaited_partners(silent, BOOK, NOON)

    def test_for_no_other_form_once_one_is_closed(self, silent):
        closing.close_month(silent, BOOK, "mail", NOVEMBER, NOON, "an")
        assert not closing_plan.find_awaited_partners(silent, BOOK, NOON)

    def test_not_where_the_province_says_so(self, silent):
        assert not closing_plan.find_awaited_partners(silent, attrs.evolve(BOOK, wait_working_days=0), NOON)


class TestNothingHappened:
    """A unit without traffic reports it: the report says that nothing happened, and is sealed, signed and handed in."""

    def test_is_said_by_the_report_of_a_unit_without_a_result(self, tx):
        unit_registry.write_registry_units(tx, [Unit("H55", "Tỉnh"), Unit("H55.3", "Chi cục", "H55")])
        close(tx)
        assert "Nothing happened: in the whole period" in write(tx, "html", "H55.3")
        assert "Nothing happened" not in write(tx, "html", "H55.1")

    def test_is_not_said_of_a_period_that_runs(self, tx):
        asked = unit_report.resolve_report_sources(tx, "H55", "2026-11", "ii06a", BOOK, now=NOON)
        assert not closing_lines.is_empty(asked.count(on("2026-11-02")))

    def test_is_signed_and_handed_in(self, tx):
        kept, octets = signing.give_out(tx, sent=0)
        said = sealed.read_sealed_report(octets).report
        assert not any(said.total.numbers.values())
        assert validating.validate_report(octets, SHIPPED.forms).broken == ()
        signing.take_back(tx, kept, by_xmlsec(octets))
        handed = signing.hand_in(tx, sent=0)
        assert handed.message.message_id.endswith("/signed")
        assert [each.state for each in revisions.list_revisions(tx, signing.UNIT, "edoc", "2026-11")] == ["submitted"]
        assert submission.read_newest_revision(tx, signing.UNIT, "edoc", "2026-11") is not None
        assert said.made_at == NOW
