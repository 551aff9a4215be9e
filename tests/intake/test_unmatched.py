"""What a unit says of documents that nobody sent it is counted apart; what it says of one that it received, joins it."""

import re
from html import escape

import pytest

from hub import config
from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.report.form.period import find_month_containing
from hub.report.output.outputs import write_csv_report, write_html_report
from hub.soap import documents_requests
from hub.store import transactions
from hub.workload import unit_report
from lienthong_demo.plan import packets
from tests import frontdesk, homes, pki
from tests.pki import NOW

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")


@pytest.fixture
def desk(made, journal_url):
    engine = transactions.open_journal(journal_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, [Unit(code, f"Đơn vị {code}") for code in ("H55", "H55.13", "H55.01")])
    return frontdesk.intake(
        made, engine, frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("there", OTHER, "H55.01")
    ), engine


def test_completions_of_invented_documents_stand_in_a_column_and_a_finding_of_their_own(desk):
    intake, engine = desk
    for number in range(3):
        invented = packets.Answered("H55.01", "7/VP", "2026/11/20", f"H55.01,2026/11/20,{number}/VP")
        packet = packets.write_status_packet("H55.13", "06", invented, at=NOW)
        answer = frontdesk.ask(intake, ME, documents_requests.UpdateTraces(packet, f"s{number}"), earlier=number)
        assert b"<IsSuccess>true" in answer.body.read()
    with transactions.read_transaction(engine) as tx:
        asked = unit_report.resolve_report_sources(tx, "H55.13", find_month_containing(NOW).text, "edoc")
        report = asked.count(NOW)
    counted = {key: report.total.numbers[key] for key in ("received", "completed", "completed_unmatched")}
    assert counted == {"received": 0, "completed": 0, "completed_unmatched": 3}
    assert [(found.unit, found.said.en) for found in report.findings] == [
        (unit, f"{report.form.checks[0].says.en}: 3 > 0") for unit in (None, "H55.13")
    ]
    assert escape(report.findings[0].said.vi) in write_html_report(report, asked.names)
    assert "Hoàn thành không có văn bản nhận" in write_csv_report(report, asked.names).decode()


def send_and_fetch(intake):
    """Let the other unit's system send a document, and this one's fetch and confirm it."""
    packet = packets.write_document_packet(
        "H55.01", ["H55.13"], number="15", notation="VP-TH", subject="V/v", promulgated="2026/11/20", at=NOW
    )
    frontdesk.ask(intake, OTHER, documents_requests.SendDocument(packet, "d1"))
    found = frontdesk.ask(intake, ME, documents_requests.GetPendingDocumentIds("H55.13"), earlier=1).body.read()
    ((given,),) = [re.findall(rb"<(?:\w+:)?DocumentId>([^<]+)<", found)]
    for earlier, call in enumerate((documents_requests.GetDocument, documents_requests.ConfirmReceived), 2):
        frontdesk.ask(intake, ME, call(given.decode()), earlier=earlier)


def say(intake, code, number, earlier):
    """Let this unit's system write a status as one does that knows neither DocumentId nor “/” (standards 12)."""
    answered = packets.Answered("H55.01", number, f"{NOW:%Y/%m/%d}", "")
    packet = packets.write_status_packet("H55.13", code, answered, at=NOW)
    answer = frontdesk.ask(intake, ME, documents_requests.UpdateTraces(packet, f"s{earlier}"), earlier=earlier)
    assert b"<IsSuccess>true" in answer.body.read()


def test_results_of_a_system_that_writes_no_document_id_are_those_of_the_document_it_received(desk):
    intake, engine = desk
    send_and_fetch(intake)
    for earlier, code in enumerate(("03", "06"), 10):
        say(intake, code, "15VP-TH", earlier)
    say(intake, "06", "16VP-TH", 12)  # nobody sent it this one
    with transactions.read_transaction(engine) as tx:
        period = find_month_containing(NOW).text
        report = unit_report.resolve_report_sources(tx, "H55.13", period, "edoc").count(NOW)
    wanted = (
        "received",
        "acknowledged",
        "acknowledged_in_time",
        "completed",
        "completed_unmatched",
        "results_unmatched",
    )
    assert {key: report.total.numbers[key] for key in wanted} == {
        "received": 1,
        "acknowledged": 1,
        "acknowledged_in_time": 1,
        "completed": 1,
        "completed_unmatched": 1,
        "results_unmatched": 0,
    }
