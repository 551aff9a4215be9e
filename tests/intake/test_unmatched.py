"""A unit that completes documents which nobody sent it: it counts, and whoever reads the report sees it."""

from html import escape

import pytest

from hub import config
from hub.demo.plan import packets
from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.report.form.period import find_month_containing
from hub.report.output.outputs import write_csv_report, write_html_report
from hub.soap import documents_requests
from hub.store import transactions
from hub.workload import unit_report
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
    assert counted == {"received": 0, "completed": 3, "completed_unmatched": 3}
    assert [(found.unit, found.said.en) for found in report.findings] == [
        (unit, f"{report.form.checks[0].says.en}: 3 > 0") for unit in (None, "H55.13")
    ]
    assert escape(report.findings[0].said.vi) in write_html_report(report, asked.names)
    assert "Hoàn thành không có văn bản nhận" in write_csv_report(report, asked.names).decode()
