"""What /metrics tells beside counts: breakers, pauses, the age of revocations, the size of the journal, facts by form."""

from datetime import timedelta

import attrs
import pytest

from hub.config.reports import ReportSettings
from hub.domain.alert_severity import AlertSeverity
from hub.domain.measures import FACTS, Measures
from hub.journal.queue import partner_state
from hub.keeping import backup_runs, hub_alerts
from hub.keeping.hub_alerts import ConditionRound, HubAlertKey, MetCondition, TransitionRules
from hub.keeping.retention import parts
from hub.monitoring import metrics
from hub.node.form_rules import list_form_services
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.security.anchors import Anchors
from hub.security.crl_ocsp import OcspAnswer, RevocationStatus
from tests import pki
from tests.pki import NOW

HOUR = timedelta(hours=1)


def samples(found, name):
    """Return the values of a metric by those of its labels."""
    (family,) = [each for each in found if each.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_the_breaker_and_the_pause_of_each_partner_that_is_configured_are_told(tx):
    before = partner_state.PartnerStanding()
    for code in ("vpub", "gone"):
        assert partner_state.seize_partner(tx, code) is not None
        opened = attrs.evolve(before, breaker=Breaker(position=BreakerPosition.OPEN, until=NOW + HOUR, reason="away"))
        partner_state.write_partner_standing(tx, code, before, opened)
    partner_state.pause_partner(tx, "vpub", reason="moving", by="an", now=NOW)
    found = metrics.measure_journal(tx, NOW, None, ("vpub", "vpcp"))
    assert samples(found, "lienthong_breaker") == {
        ("vpub", "closed"): 0,
        ("vpub", "open"): 1,
        ("vpub", "half-open"): 0,
        ("vpcp", "closed"): 1,
        ("vpcp", "open"): 0,
        ("vpcp", "half-open"): 0,
    }
    assert samples(found, "lienthong_partner_paused") == {("vpub",): 1, ("vpcp",): 0}
    assert samples(found, "lienthong_database_size_bytes")[()] > 100_000


def test_the_last_good_backup_and_a_failure_after_it_are_told(tx):
    assert samples(metrics.measure_journal(tx, NOW, None), "lienthong_backup_last_good_timestamp_seconds") == {}
    good = backup_runs.begin_backup_run(tx, "node", NOW)
    assert good is not None
    backup_runs.end_backup_run(tx, good, NOW + HOUR, made_at=NOW, file="a", octets=1, number=1, restored=True)
    failed = backup_runs.begin_backup_run(tx, "node", NOW + 2 * HOUR)
    assert failed is not None
    backup_runs.fail_backup_run(tx, failed, NOW + 3 * HOUR, "no room")
    found = metrics.measure_journal(tx, NOW, None)
    assert samples(found, "lienthong_backup_last_good_timestamp_seconds") == {(): NOW.timestamp()}
    assert samples(found, "lienthong_backup_failed") == {(): 1}


def test_how_long_what_was_announced_is_overdue_is_told(tx):
    name = "lienthong_retention_overdue_seconds"
    assert samples(metrics.measure_journal(tx, NOW, None), name) == {(): 0}
    parts.announce_part(tx, "2025-01", messages=1, octets=1, due_at=NOW + HOUR, by="an", now=NOW)
    assert samples(metrics.measure_journal(tx, NOW, None), name) == {(): 0}
    assert samples(metrics.measure_journal(tx, NOW + 3 * HOUR, None), name) == {(): 7200}


def test_alerts_of_the_hub_that_are_raised_are_told_by_kind_and_severity(tx):
    met = [
        MetCondition(key=HubAlertKey(kind="partner-down", about=code), severity=AlertSeverity.WARNING)
        for code in ("vpub", "vpcp")
    ]
    seen = ConditionRound(met=met, judged={"partner-down"}, node="node", shared=True, gone=frozenset())
    hub_alerts.write_steps(tx, seen, NOW, TransitionRules())
    assert samples(metrics.measure_journal(tx, NOW, None), "lienthong_alerts") == {("partner-down", "warning"): 2}


def test_the_newest_crl_and_the_oldest_ocsp_answer_of_each_ca_are_told():
    ca, other = pki.authority(), pki.authority("Other CA")
    mine = [ca.issue(name).certificate for name in ("a", "b")]
    anchors = Anchors([ca.certificate, other.certificate], [ca.crl(ends=NOW + HOUR), other.crl(ends=NOW + 2 * HOUR)])
    lists, _ = anchors.list_revocations()
    answers = {
        mine[0]: OcspAnswer(RevocationStatus.GOOD, NOW - 2 * HOUR, NOW + 3 * HOUR),
        mine[1]: OcspAnswer(RevocationStatus.GOOD, NOW - HOUR, NOW + 2 * HOUR),
    }
    anchors.set_revocations(lists[:0], answers)
    found = metrics.measure_trust(anchors)
    name = metrics.name_authority(ca.certificate.subject)
    assert samples(found, "lienthong_crl_expiry_timestamp_seconds") == {
        (name,): (NOW + HOUR).timestamp(),
        ("Other CA",): (NOW + 2 * HOUR).timestamp(),
    }
    assert samples(found, "lienthong_crl_issued_timestamp_seconds")[name,] == lists[0].begins.timestamp()
    assert samples(found, "lienthong_ocsp_issued_timestamp_seconds") == {(name,): (NOW - 2 * HOUR).timestamp()}
    assert samples(found, "lienthong_ocsp_expiry_timestamp_seconds") == {(name,): (NOW + 2 * HOUR).timestamp()}


@pytest.mark.parametrize(("service", "milestone"), [("documents", "sent"), ("mail", "mailbox")])
def test_a_fact_counts_for_each_form_that_counts_its_service(service, milestone):
    services = list_form_services(ReportSettings())
    measures = Measures()
    measures.count(FACTS, service, milestone, by=3)
    told = samples(metrics.measure_forms(measures, services), "lienthong_form_facts")
    assert set(told.values()) == {0, 3}
    assert {form for (form,), count in told.items() if count} == {
        form for form in services if service in services[form]
    }
