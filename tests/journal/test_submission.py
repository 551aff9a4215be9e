"""A report leaves the hub as a revision: once, unchanged, and another only for a reason."""

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import attrs
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config import Partner
from hub.config.reports import ReportSettings
from hub.domain.errors import Rejected
from hub.domain.model import HUB, Fact, Receive
from hub.intake.admission import judge_record
from hub.journal import blobs, events, messages
from hub.journal.queue import deliveries
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.report.counting import counting, evidence
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.report.signed import sealed
from hub.security.attesting import AttestationTrust
from hub.services import list_services
from hub.services.verdicts import ReportVerdict, write_verdict_message
from hub.store.tables import content
from hub.units.province import Province
from hub.workload import publications, submission
from tests.pki import partner
from tests.province import ROUTES

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
PERIOD = parse_period("2026-11")
ENDED = PERIOD.end + timedelta(days=1)
GOV = Partner(code="baocao", name="", certificates=(), receive=Receive.PUSH, services=("reports",))
REPORTS = ReportSettings(trust=AttestationTrust(partner("hub").certificate.public_bytes(Encoding.DER)))
PORTALS = [attrs.evolve(GOV, code=code, services=("publications",)) for code in ("portal", "other")]


def province():
    named = {each.code: each for each in (GOV, *PORTALS)}
    config = SimpleNamespace(partners=named, identity=partner("hub"), province="H55", officials=None, reports=REPORTS)
    return cast("Province", SimpleNamespace(config=config, routes=ROUTES))


def counted(*keys, now=ENDED):
    """Return the report of H55.13 over so many documents sent."""
    facts = [
        Fact(unit="H55.13", service="documents", key=key, milestone="sent", at=PERIOD.start, message=f"m{key}")
        for key in keys
    ]
    units = ("H55.13", "H55.13.1")
    return submission.CountedReport(
        report=counting.count_report(EDOC, facts, PERIOD, now, units),
        names={"H55.13": "Sở"},
        lines=evidence.gather_evidence(EDOC, facts, PERIOD, now, units),
    )


def hand_in(tx, *keys, reason="", now=ENDED, to="baocao"):
    return submission.submit_report(tx, province(), counted(*keys, now=now), to, reason=reason, by="an", now=now)


def publish(tx, *keys, reason="QĐ 12", now=ENDED):
    return submission.publish_report(tx, province(), counted(*keys, now=now), reason=reason, by="an", now=now)


def come_back(tx, revision=1):
    said = ReportVerdict(
        form="edoc", unit="H55.13", period="2026-11", revision=revision, result="returned", by="baocao"
    )
    entry = judge_record(
        list_services()["verdicts"],
        write_verdict_message(said),
        f"v{revision}",
        HUB,
        province(),
        ENDED,
        f"v-{revision}",
    )
    assert messages.record_message(tx, entry, ROUTES).problems == ()


def told(tx, kept):
    return [each["event"] for each in events.read_message_events(tx, kept.message.id)]


def going(tx, kept):
    return [each.recipient for each in deliveries.read_message_deliveries(tx, kept.message.id)]


def test_a_report_is_written_down_once_with_its_delivery(tx):
    first = hand_in(tx, "1")
    again = hand_in(tx, "1", now=ENDED + timedelta(days=1))
    assert (first.fresh, again.fresh) == (True, False)
    assert again.message == first.message
    assert (first.message.message_id, first.message.service) == ("reports/edoc/H55.13/2026-11/1", "reports")
    assert going(tx, first) == ["baocao"]
    assert told(tx, first) == ["message-accepted", "delivery-waiting", "report-handed-in", "report-handed-in"]
    assert sealed.read_sealed_report(blobs.read_blob(tx, first.message.sha256)).revision == 1


def test_a_report_whose_octets_somebody_edited_is_not_given_out_again(tx):
    kept = hand_in(tx, "1", "2")
    octets = blobs.read_blob(tx, kept.message.sha256)
    false = octets.replace(b">2<", b">9<")
    assert false != octets
    tx.execute(sa.update(content).where(content.c.sha256 == kept.message.sha256).values(octets=false))
    for again in (lambda: hand_in(tx, "1", "2"), lambda: publish(tx, "1", "2")):
        with pytest.raises(Rejected) as refused:
            again()
        assert refused.value.problems[0].code == "closing-tampered"


def test_the_report_of_a_period_that_is_not_over_stays(tx):
    with pytest.raises(submission.Unended):
        hand_in(tx, "1", now=PERIOD.end - timedelta(seconds=1))
    assert not list(search.find_messages(tx, MessageFilter(partner=HUB)))


def test_other_numbers_are_another_revision_for_a_reason(tx):
    first = hand_in(tx, "1")
    with pytest.raises(submission.Unreasoned):
        hand_in(tx, "1", "2")
    second = hand_in(tx, "1", "2", reason="gói tin đến muộn")
    assert second.message.message_id == "reports/edoc/H55.13/2026-11/2"
    assert "report-revised" in told(tx, second)
    assert sealed.read_sealed_report(blobs.read_blob(tx, first.message.sha256)).report.total.numbers["sent"] == 1, (
        "as it was"
    )
    assert hand_in(tx, "1", "2").message == second.message


def test_a_reason_alone_makes_no_revision_unless_the_report_came_back(tx):
    first = hand_in(tx, "1")
    assert hand_in(tx, "1", reason="gửi lại cho chắc").message == first.message
    come_back(tx)
    assert hand_in(tx, "1").message == first.message
    second = hand_in(tx, "1", reason="đã ký lại")
    assert second.said.revision == 2
    assert second.said.says(first.said.report, first.said.evidence)


def test_the_same_report_may_go_to_a_second_partner(tx):
    first = hand_in(tx, "1")
    assert hand_in(tx, "1", to="other").message == first.message
    assert going(tx, first) == ["baocao", "other"]


def test_what_is_published_is_the_very_revision_that_was_handed_in(tx):
    handed, published = hand_in(tx, "1"), publish(tx, "1", now=ENDED + timedelta(days=1))
    assert published.message.sha256 == handed.message.sha256
    assert published.message.message_id == "publications/edoc/H55.13/2026-11/1"
    assert sorted(going(tx, published)) == ["other", "portal"]
    assert "report-published" in told(tx, published)


def test_the_newest_revision_is_shown_and_the_older_one_can_be_had(tx):
    assert publications.list_publications(tx) == []
    first = publish(tx, "1")
    second = publish(tx, "1", "2", now=ENDED + timedelta(days=1))
    (shown,) = publications.list_publications(tx)
    assert (shown.form, shown.unit, shown.period, shown.revision) == ("edoc", "H55.13", "2026-11", 2)
    assert shown.sha256 == second.message.sha256
    old = publications.find_publication(tx, "edoc", "H55.13", "2026-11", 1)
    assert old is not None
    assert old.sha256 == first.message.sha256
    assert publications.find_publication(tx, "edoc", "H55.13", "2026-11", 3) is None
    assert publications.find_publication(tx, "edoc", "H55.1", "2026-11") is None
    assert publications.find_publication(tx, "%", "%", "%") is None


def test_what_was_only_handed_in_is_not_shown(tx):
    hand_in(tx, "1")
    assert publications.list_publications(tx) == []
    assert publications.find_publication(tx, "edoc", "H55.13", "2026-11") is None
