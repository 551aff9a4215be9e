"""Declarations in the journal: the newest counts, the earlier ones stay, nothing of them is a fact or goes anywhere."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred

from hub.config import Partner
from hub.config.reports import ReportSettings
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.domain.ids import make_id
from hub.domain.model import Fact, Receive
from hub.formats import xsd_types
from hub.intake.admission import judge_record
from hub.intake.endpoint import Case, Counted, JournalAccess
from hub.intake.records_endpoint import QueryCall
from hub.journal import blobs, events, facts, messages, unit_registry
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries
from hub.journal.searching import message_reading
from hub.partner.policy import Policy
from hub.report.counting import declaring
from hub.report.counting.reconciling import CellEvidence
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.runtime.thread_pool import run_at_once
from hub.soap.envelope import build_element
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.province import Province
from hub.workload import closing, declarations, submission, unit_report
from hub.workload.declarations import Undeclared
from hub.workload.soap_operations import get_reconciliation, get_workload_report, list_periods
from tests.declaring import declaration, octets
from tests.opened import lines_of
from tests.pki import partner
from tests.province import NOW, ROUTES, UNITS

TAKES = Partner(code="vpub", name="", certificates=(), receive=Receive.PUSH, services=("reports",))
CALLS = {code: Partner(code=code, name="", certificates=(), policy=Policy()) for code in ("sotttt", "any", "vpcp")}


CLOSED = parse_period("2026-10")


def province(reports=ReportSettings()):
    config = SimpleNamespace(
        partners={"vpub": TAKES, **CALLS}, identity=partner("hub"), province="H55", reports=reports
    )
    return cast("Province", SimpleNamespace(config=config, routes=ROUTES))


def take(tx, said, *, name=None, by="sotttt", later=0):
    now = NOW + timedelta(minutes=later)
    entry = judge_record(
        declarations.make_declarations_service(province()), octets(said), name, by, province(), now, make_id(now)
    )
    return messages.record_message(tx, entry, ROUTES)


def codes(taken):
    return [problem.code for problem in taken.problems]


SAID = declaration({("", "sent"): 2, ("000.00.13.H55", "sent"): 1}, period="2026-12", by="Lan")


def test_a_declaration_is_kept_with_its_receipt_and_goes_to_nobody_though_reports_do(tx):
    taken = take(tx, SAID, name="m1")
    assert taken.receipt is not None
    kept = declarations.read_newest_declaration(tx, "H55.13", "edoc", "2026-12")
    assert kept is not None
    assert (kept.message.id, kept.message.kind, kept.message.partner, kept.said, kept.earlier) == (
        taken.id, "declaration", "sotttt", SAID, 0,
    )  # fmt: skip
    assert list(fact_rows.read_facts(tx)) == []
    assert deliveries.read_message_deliveries(tx, taken.id) == []


def test_the_newest_counts_whatever_it_says_and_the_earlier_ones_stay(tx):
    other = attrs.evolve(SAID, cells=SAID.cells[:1])
    first, second = take(tx, SAID, name="m1"), take(tx, other, name="m2", later=1)
    assert take(tx, SAID, name="m1", later=2) == first, "the same message, not another submission"
    kept = declarations.read_newest_declaration(tx, "H55.13", "edoc", "2026-12")
    assert kept is not None
    assert (kept.message.id, kept.said, kept.earlier) == (second.id, other, 1)
    third = take(tx, SAID, name="m3", later=3)
    kept = declarations.read_newest_declaration(tx, "H55.13", "edoc", "2026-12")
    assert kept is not None
    assert (kept.message.id, kept.earlier) == (third.id, 2)
    assert codes(take(tx, other, name="m3", later=4)) == ["id-reused"]
    assert declarations.read_newest_declaration(tx, "H55.13", "edoc", "2026-11") is None
    assert declarations.read_newest_declaration(tx, "H55", "edoc", "2026-12") is None


def test_a_system_declares_for_its_own_units_alone_and_a_unit_for_those_below_it(tx):
    assert codes(take(tx, attrs.evolve(SAID, unit="H55.01"))) == ["unit-not-below"]
    assert codes(take(tx, declaration({("", "sent"): 1}, unit="H55.01"))) == ["sender-not-allowed"]
    assert codes(take(tx, declaration({("", "sent"): 1}, unit="H55.99"), by="any")) == ["unit-unknown"]
    stranger = declaration({("H55.01", "sent"): 1, ("H55.13.1", "sent"): 1})
    refused = take(tx, stranger)
    assert [(each.code, each.detail) for each in refused.problems] == [("unit-not-below", "H55.01: H55.13")]
    assert message_reading.read_message(tx, refused.id).state == "refused", "a refusal is kept too"
    twice = declaration({("000.00.13.H55", "sent"): 1, ("H55.13", "sent"): 2})
    assert codes(take(tx, twice)) == ["M.Figures.OrganId"], "one unit by two codes"
    assert codes(take(tx, declaration({("", "sennt"): 1}))) == ["column-unknown"]


def test_what_an_operator_declares_is_a_message_of_the_hubs_own_once_until_it_says_something_else(tx):
    def declare(said, later):
        return declarations.record_declaration(tx, province(), said, by="an", now=NOW + timedelta(minutes=later))

    first = declare(SAID, 0)
    assert declare(SAID, 1) == first
    other = declare(attrs.evolve(SAID, note="đã sửa"), 2)
    again = declare(SAID, 3)
    assert len({first.id, other.id, again.id}) == 3
    kept = declarations.read_newest_declaration(tx, "H55.13", "edoc", "2026-12")
    assert kept is not None
    assert (kept.message.id, kept.message.partner, kept.earlier) == (again.id, "hub", 2)
    (told,) = [event for event in events.read_message_events(tx, first.id) if event["event"] == "report-declared"]
    assert {"by": "an", "unit": "H55.13", "form": "edoc", "period": "2026-12"}.items() <= told.items()
    assert codes(declare(declaration({("H55.01", "sent"): 1}), 4)) == ["unit-not-below"]


def test_a_declaration_is_compared_with_what_the_journal_holds(tx):
    unit_registry.write_registry_units(tx, UNITS)
    with pytest.raises(Undeclared):
        declarations.compare_declaration(tx, unit_report.resolve_report_sources(tx, "H55.13", "2026-12", "edoc"), NOW)
    message = take(tx, SAID).id
    sent = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=NOW, message=message, outside=True)
    facts.record_facts(tx, [sent])
    asked = unit_report.resolve_report_sources(tx, "000.00.13.H55", "2026-12", "edoc")
    found = declarations.compare_declaration(tx, asked, NOW).found
    assert [(cell.unit, cell.declared, cell.counted, cell.verdict.value) for cell in found.cells] == [
        ("", 2, 1, "differs"),
        ("H55.13", 1, 1, "equal"),
    ]
    assert found.cells[0].behind == CellEvidence(facts=1, messages=1, first=(message,))


def test_a_form_that_takes_its_numbers_from_others_is_compared_too_ratios_and_all(tx):
    unit_registry.write_registry_units(tx, UNITS)
    said = declaration(
        {
            ("H55.13", "documents_sent"): 2,
            ("H55.13", "documents_signed_share"): Decimal("50.00"),
            ("H55.13", "documents_in_time"): None,
            ("H55.13", "mail_sent"): 7,
        },
        form="tonghop",
        period="2026-12",
    )
    message = take(tx, said).id
    sent = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=NOW, message=message)
    facts.record_facts(tx, [sent])
    found = declarations.compare_declaration(
        tx, unit_report.resolve_report_sources(tx, "H55.13", "2026-12", "tonghop"), NOW
    ).found
    assert {
        (cell.column, cell.declared, cell.counted, cell.verdict.value, cell.behind.facts) for cell in found.cells
    } == {
        ("documents_sent", 2, 1, "differs", 1),
        ("documents_signed_share", Decimal("50.00"), Decimal("0.00"), "differs", 1),
        ("mail_sent", 7, 0, "no-evidence", 0),
        ("documents_in_time", None, None, "equal", 0),
    }


@pytest.mark.slow
def test_a_closed_month_is_compared_as_it_was_closed(tx):
    unit_registry.write_registry_units(tx, UNITS)
    begun, period = parse_period("2026-11").start, parse_period("2026-11")
    message = take(tx, declaration({("H55.13", "sent"): 1, ("H55.13", "recalls"): 1}), name="m1").id
    sent = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=begun, message=message)
    facts.record_facts(tx, [sent])
    closing.close_month(tx, read_shipped_book(), "edoc", period, NOW, "an")
    late = attrs.evolve(sent, key="2", milestone="sent-recall", at=NOW)
    facts.record_facts(tx, [late])
    found = declarations.compare_declaration(
        tx, unit_report.resolve_report_sources(tx, "H55.13", "2026-11", "edoc"), NOW
    ).found
    assert [(cell.column, cell.counted, cell.verdict.value) for cell in found.cells] == [
        ("recalls", 0, "no-evidence"),
        ("sent", 1, "equal"),
    ]
    wrong = take(tx, declaration({("H55.13", "sent"): 5}), name="m2", later=1).id
    assert wrong != message
    found = declarations.compare_declaration(
        tx, unit_report.resolve_report_sources(tx, "H55.13", "2026-11", "edoc"), NOW
    ).found
    assert [(cell.declared, cell.counted, cell.behind.facts) for cell in found.cells] == [(5, 1, 1)]


def case_of(call, **named):
    """Return the case of a *call* by the partner sotttt."""
    said = {"now": NOW, "province": province(), "owner": Owner("sotttt"), "partner": SimpleNamespace(code="sotttt")}
    return SimpleNamespace(opened=SimpleNamespace(call=call), **said | named)


def test_a_period_is_listed_as_closed_when_all_its_months_are(engine):
    period, now = parse_period("2026-10"), NOW
    with transactions.write_transaction(engine) as tx:
        message = take(tx, declaration({("H55.13", "sent"): 1}), name="m1").id
        sent = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=period.start, message=message)
        facts.record_facts(tx, [sent])
        for month in (period, parse_period("2026-11")):
            closing.close_month(tx, read_shipped_book(), "edoc", month, NOW, "an")

    def listed(form):
        call = QueryCall(build_element(declaring.NAMESPACE, "ListPeriods", {"Form": form}))
        books = JournalAccess(InlineDatabase(engine), run_at_once, lambda: None, lambda: None)
        case = case_of(call, now=now)
        done = Deferred.fromCoroutine(list_periods(books, cast("Case", case)))
        return {each.findtext("{*}Period"): each.findtext("{*}State") for each in cast("Any", done).result}

    assert listed("edoc") == {
        "2026-10": "closed", "2026-11": "closed", "2026-12": "open", "2026-Q4": "open", "2026-H2": "open", "2026": "open",
    }  # fmt: skip
    assert listed("tonghop")["2026-10"] == "ended", "not all that it takes its numbers from is closed"


def test_the_days_that_are_listed_are_those_of_the_cut_off_but_of_what_is_closed_those_it_was_closed_with(engine):
    with transactions.write_transaction(engine) as tx:
        message = take(tx, declaration({("H55.13", "sent"): 1}), name="m1").id
        sent = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=CLOSED.start, message=message)
        facts.record_facts(tx, [sent])
        closing.close_month(tx, read_shipped_book(), "edoc", CLOSED, NOW, "an")
    call = QueryCall(build_element(declaring.NAMESPACE, "ListPeriods", {"Form": "edoc"}))
    books = JournalAccess(InlineDatabase(engine), run_at_once, lambda: None, lambda: None)
    by_25 = province(ReportSettings(cut_offs=((25, None),)))
    case = case_of(call, province=by_25)
    done = Deferred.fromCoroutine(list_periods(books, cast("Case", case)))
    found = {
        each.findtext("{*}Period"): (each.findtext("{*}From"), each.findtext("{*}To"), each.findtext("{*}State"))
        for each in cast("Any", done).result
    }
    assert found["2026-10"] == ("2026-09-15", "2026-10-14", "closed")
    assert found["2026-11"] == ("2026-10-15", "2026-11-24", "open")
    assert "2026-12" not in found, "it begins on the 25th, tomorrow"
    assert found["2026-Q4"][:2] == ("2026-09-15", "2026-12-24")


def test_a_report_that_was_given_out_is_given_again_to_the_octet(engine):
    period = parse_period("2026-11")
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, UNITS)
        message = take(tx, declaration({("H55.13", "sent"): 1}), name="m1").id
        sent = Fact(unit="H55.13", service="documents", key="1", milestone="sent", at=period.start, message=message)
        facts.record_facts(tx, [sent])
        closing.close_month(tx, read_shipped_book(), "edoc", period, NOW, "an")
        asked = unit_report.resolve_report_sources(tx, "H55.13", "2026-11", "edoc")
        counted = submission.CountedReport(report=asked.count(NOW), names=dict(asked.names), lines=lines_of(asked, NOW))
        given = submission.issue_report(tx, province(), counted, reason="", by="an", now=NOW)
        kept = blobs.read_blob(tx, given.message.sha256)
    fields = {"OrganId": "000.00.13.H55", "Form": "edoc", "Period": "2026-11"}
    call = QueryCall(build_element(declaring.NAMESPACE, "GetWorkloadReport", fields))
    books = JournalAccess(InlineDatabase(engine), run_at_once, lambda: None, lambda: None)
    case = case_of(call)
    done = Deferred.fromCoroutine(get_workload_report(books, cast("Case", case)))
    answer = cast("Any", done).result
    assert xsd_types.read_xs_base64(answer.find("{*}Content")) == kept
    assert (answer.findtext("{*}OrganId"), answer.findtext("{*}Ended")) == ("H55.13", "true")


@pytest.mark.parametrize("ask", [get_workload_report, get_reconciliation])
def test_no_report_is_counted_while_facts_of_before_are_outstanding(engine, ask):
    async def outstanding(services: Counted) -> None:
        assert services() == frozenset({"documents"})
        raise Unready("facts-outstanding", "1 messages, 9 facts")

    books = JournalAccess(InlineDatabase(engine), run_at_once, lambda: None, lambda: None, outstanding)
    call = QueryCall(
        build_element(declaring.NAMESPACE, "x", {"OrganId": "H55.13", "Form": "edoc", "Period": "2026-11"})
    )
    opened, partner_of = SimpleNamespace(call=call), SimpleNamespace(code="sotttt")
    case = SimpleNamespace(now=NOW, province=province(), opened=opened, partner=partner_of)
    failed: list[Any] = []
    done = Deferred.fromCoroutine(ask(books, cast("Case", case)))
    _ = done.addErrback(lambda failure: failed.append(failure.value))
    assert [str(each) for each in failed] == ["facts-outstanding: 1 messages, 9 facts"]
