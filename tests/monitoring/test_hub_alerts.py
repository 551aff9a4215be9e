"""The hub tells operators of each condition when it begins and when it ends: once, whatever node or restart."""

from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest

from hub import config
from hub.config.upkeep.retention import RetentionSettings
from hub.domain.alert_severity import AlertSeverity
from hub.domain.conversations import Unavailable
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Event, Receive, Unit
from hub.journal import events, messages, nodes, unit_registry
from hub.journal.nodes import Node, PendingRestart
from hub.journal.queue import claim_release, claims, partner_state
from hub.journal.queue.claims import AttemptExchange
from hub.keeping import backup_runs, eras, hub_alerts
from hub.keeping.eras import KnownReceipt
from hub.keeping.hub_alerts import ConditionRound, HubAlertKey, TransitionRules
from hub.keeping.retention import parts
from hub.keeping.retention.parts import PartEvent
from hub.monitoring import link_rows
from hub.monitoring.hub_alerts import conditions
from hub.monitoring.hub_alerts.conditions import ConditionKind
from hub.partner import circuit_breaker
from hub.partner.policy import Policy
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.runtime import disk_space
from hub.security.anchors import Anchors
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store import transactions
from hub.workload import closing
from hub.workload.many import returned_reports
from tests import pki
from tests.databases import sqlite
from tests.journal.test_closing import dossier, on, put
from tests.journal.test_signed_revisions import give_out, hand_in, take_back, told_there
from tests.monitoring.test_failures import die
from tests.officials import by_xmlsec
from tests.pki import NOW as SIGNED
from tests.province import NOW, ROUTES, document, entry
from tests.watching import SETTLED, WatchedHub

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def watched(engine):
    return WatchedHub(engine).open()


@pytest.fixture
def on_sqlite(tmp_path):
    """A journal on one database, for what does not depend on which."""
    made = transactions.open_journal(sqlite(tmp_path / "alone.db"))
    yield made
    made.dispose()


@pytest.fixture
def alone(on_sqlite):
    return WatchedHub(on_sqlite).open()


def fail(watched, times, partner="vpub"):
    """Let calls of the partner fail, so that its breaker moves."""
    step = partial(
        circuit_breaker.record_breaker_failure,
        policy=Policy(),
        now=watched.now,
        random=0.5,
        outcome=Unavailable("refused"),
    )
    for _ in range(times):
        watched.write(partner_state.move_breaker, partner, step, watched.now)


def probe(watched):
    """Let the open breaker probe, and the probe fail."""
    watched.write(partner_state.move_breaker, "vpub", circuit_breaker.record_breaker_claims, watched.now)
    fail(watched, 1)


def take(watched, number, at):
    made = entry(document("H55.13", "H55.01", document_id=f"D{number}"), number, at=at)
    watched.write(messages.record_message, made, ROUTES)


# --- each condition ---


def test_a_partner_is_down_when_a_probe_failed_too_and_up_after_the_first_answer(watched):
    fail(watched, circuit_breaker.FAILURES)
    assert watched.look() == []
    probe(watched)
    assert watched.look() == ["raised partner-down vpub"]
    success = partial(circuit_breaker.record_breaker_success, policy=Policy())
    watched.write(partner_state.move_breaker, "vpub", circuit_breaker.record_breaker_claims, watched.now)
    watched.write(partner_state.move_breaker, "vpub", success, watched.now)
    assert watched.settle() == ["ended partner-down vpub"]


def tell_link(watched, name, *seen):
    link = Link(name=name, host="127.0.0.1", port=1, tls=True)
    for node, state, since in seen:
        standing = LinkStanding(state=state, since=since, seen_at=watched.now)
        watched.write(link_rows.record_link_standings, node, {link: standing}, {}, (), HOUR, watched.now)


def test_a_link_is_down_when_no_node_reaches_it_any_more_for_two_minutes(alone):
    begun = alone.now
    tell_link(alone, "máy-in", ("a", LinkState.DOWN, begun), ("b", LinkState.UP, begun))
    assert alone.look(3 * MINUTE) == []
    tell_link(alone, "máy-in", ("a", LinkState.DOWN, begun), ("b", LinkState.DOWN, alone.now))
    assert alone.look(MINUTE) == []
    assert alone.look(MINUTE) == ["raised link-down máy-in"]
    tell_link(alone, "máy-in", ("b", LinkState.UP, alone.now))
    assert alone.settle() == ["ended link-down máy-in"]


def test_the_link_of_a_partner_is_told_of_as_the_partner(alone):
    tell_link(alone, "vpub", ("a", LinkState.DOWN, alone.now))
    assert alone.look(3 * MINUTE) == ["raised partner-down vpub"]


def test_dead_letters_are_told_of_once_and_again_only_for_what_died_after_the_acknowledgement(watched):
    watched.write(die, 1, "refused: E05", at=watched.now)
    assert watched.look() == ["raised dead-letters vpub"]
    watched.write(die, 2, "refused: E05", at=watched.now + MINUTE)
    assert watched.look(2 * MINUTE) == []
    (known,) = watched.write(hub_alerts.acknowledge_alerts, None, by="chi", note="gọi vpub", now=watched.now)
    assert (known.key.about, known.acknowledged_by) == ("vpub", "chi")
    assert watched.look(10 * MINUTE) == []
    watched.write(die, 3, "refused: E05", at=watched.now)
    assert watched.look() == ["more dead-letters vpub"]
    assert watched.raised()[0].acknowledged_at is None
    assert watched.raised()[0].values == {"partner": "vpub", "count": 3}


def test_deliveries_that_wait_for_a_person_are_told_of(watched):
    take(watched, 1, watched.now)
    (claim,) = watched.write(claims.claim_deliveries, "vpub", watched.now, limit=1, holder="n", lease=MINUTE)
    verdict = AttemptVerdict(DeliveryState.SUSPENDED, "suspended: HTTP 503")
    assert watched.write(
        claims.settle_claim,
        claims.EndedAttempt(claim, DeliveryEvent.UNAVAILABLE, verdict, AttemptExchange(), watched.now),
    )
    assert watched.look() == ["raised suspended-deliveries vpub"]


def test_the_oldest_delivery_that_waits_is_told_of_after_an_hour_and_again_after_a_day(watched):
    take(watched, 1, watched.now)
    assert watched.look(59 * MINUTE) == []
    assert watched.look(MINUTE) == ["raised waiting-long vpub"]
    assert watched.look(23 * HOUR) == ["worse waiting-long vpub"]
    watched.write(claims.claim_deliveries, "vpub", watched.now, limit=1, holder="một", lease=MINUTE)
    watched.write(settle_delivered, watched.now)
    assert watched.settle() == ["ended waiting-long vpub"]


def settle_delivered(tx, now):
    claim_release.release_lost_claims(tx, now, holder="một")
    (claim,) = claims.claim_deliveries(tx, "vpub", now, limit=1, holder="một", lease=MINUTE)
    claims.settle_claim(
        tx,
        claims.EndedAttempt(
            claim, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED, None), AttemptExchange(), now
        ),
    )


def test_a_certificate_is_told_of_thirty_days_seven_days_and_one_day_before_its_end(on_sqlite):
    own = SimpleNamespace(certificate=pki.authority("Hub").issue("hub").certificate)
    end = own.certificate.not_valid_after_utc
    watched = WatchedHub(on_sqlite, now=end - timedelta(days=30, minutes=1)).open(
        own=(("pki.certificate", own),), partners={}
    )
    assert watched.look() == []
    about = "certificate hub pki.certificate"
    assert watched.look(2 * MINUTE) == [f"raised {about}"]
    assert watched.look(20 * DAY) == [f"reminder {about}"]
    assert watched.look(3 * DAY) == [f"worse {about}"]
    assert watched.raised()[0].severity is AlertSeverity.ERROR
    assert watched.look(6 * DAY) == [f"reminder {about}", f"worse {about}"][1:]
    assert watched.raised()[0].severity is AlertSeverity.CRITICAL


def test_of_several_certificates_of_a_partner_the_last_one_counts_and_its_ca_is_told_of_too(on_sqlite):
    ca = pki.authority("Old CA", ends=NOW + 10 * DAY)
    partner = config.Partner(
        code="vpub",
        name="",
        certificates=(ca.issue("a", ends=NOW + 2 * DAY).certificate, ca.issue("b", ends=NOW + 20 * DAY).certificate),
        receive=Receive.PUSH,
    )
    watched = WatchedHub(on_sqlite, now=NOW + DAY).open(partners={"vpub": partner}, authorities=(ca.certificate,))
    name = ca.certificate.subject.rfc4514_string()
    assert watched.look() == [f"raised certificate authority {name}", "raised certificate partner vpub"]
    assert {each.key.about: each.severity for each in watched.raised()}["partner vpub"] is AlertSeverity.WARNING


def test_a_ca_whose_revocation_list_is_overdue_is_told_of(on_sqlite):
    ca = pki.authority()
    anchors = Anchors((ca.certificate,), (ca.crl(),))
    watched = WatchedHub(on_sqlite, now=NOW).open(anchors=anchors, partners={})
    assert watched.look() == []
    watched.now = NOW + 25 * DAY
    assert watched.look() == [f"raised crl-stale {ca.certificate.subject.rfc4514_string()}"]


def test_a_disk_with_little_room_is_told_of_and_graver_when_the_hub_accepts_nothing(alone, monkeypatch):
    free = 3 << 30
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: free)
    alone.config.free_disk = 1 << 28
    assert alone.look() == []
    free = 1 << 30
    assert alone.look() == ["raised disk-low /"]
    free = 1 << 20
    assert alone.look() == ["worse disk-low /"]
    free = 3 << 30
    assert alone.settle() == ["ended disk-low /"]


def test_events_that_wait_for_their_number_are_told_of(alone, monkeypatch):
    alone.write(events.append_events, Event("partner-paused", alone.now, body={"partner": "vpub"}))
    monkeypatch.setattr(events, "chain_events", lambda _tx: 0)
    assert alone.look() == []
    assert alone.look(2 * MINUTE) == ["raised chain-behind"]


def test_a_node_that_fell_silent_is_told_of_and_one_that_was_stopped_is_not(on_sqlite):
    watched = WatchedHub(on_sqlite).open()
    watched.beat("hai")
    watched.beat("ba")
    watched.write(nodes.record_node_end, "ba", watched.now)
    assert watched.look(30 * timedelta(seconds=1)) == []
    assert watched.look(2 * MINUTE) == ["raised node-lost hai"]
    watched.start("hai")
    assert watched.settle() == ["ended node-lost hai"]


def test_backups_that_fail_or_grow_old_are_told_of(engine):
    every = SimpleNamespace(every=DAY)
    watched = WatchedHub(engine).open(backup=every)
    assert watched.look() == [], "the first one is not due yet"
    fail_backup(watched)
    assert watched.look() == ["raised backup-old"]
    assert watched.raised()[0].severity is AlertSeverity.ERROR
    make_backup(watched)
    assert watched.settle() == ["ended backup-old"]
    fail_backup(watched)
    assert watched.look(MINUTE) == ["raised backup-old"]
    assert watched.raised()[0].severity is AlertSeverity.WARNING
    assert watched.look(47 * HOUR) == ["reminder backup-old"]
    assert watched.look(HOUR) == ["worse backup-old"]


def fail_backup(watched):
    begun = watched.write(backup_runs.begin_backup_run, "một", watched.now)
    watched.write(backup_runs.fail_backup_run, begun, watched.now, "đĩa đầy")


def make_backup(watched):
    watched.now += MINUTE
    begun = watched.write(backup_runs.begin_backup_run, "một", watched.now)
    said = {"made_at": watched.now, "file": "x", "octets": 1, "number": 1, "restored": True}
    watched.write(backup_runs.end_backup_run, begun, watched.now, **said)


def test_a_database_that_nears_its_budget_is_told_of(on_sqlite):
    watched = WatchedHub(on_sqlite).open(retention=RetentionSettings(budget=1 << 40))
    assert watched.look() == []
    watched.config.retention = RetentionSettings(budget=1 << 10)
    assert watched.look(MINUTE) == [], "its size is read every ten minutes"
    assert watched.look(10 * MINUTE) == ["raised budget-tight"]
    assert watched.raised()[0].severity is AlertSeverity.ERROR


def test_what_was_announced_to_go_and_is_still_there_days_later_is_told_of(watched):
    said = {"messages": 1, "octets": 1, "by": "an", "now": watched.now}
    part = watched.write(parts.announce_part, "2025-01", due_at=watched.now + DAY, **said)
    assert watched.look(DAY + 47 * HOUR) == []
    assert watched.look(HOUR) == ["raised retention-late"]
    assert watched.raised()[0].values["month"] == "2025-01"
    watched.write(parts.move_part, part.number, PartEvent.WITHDRAW, watched.now)
    assert watched.settle() == ["ended retention-late"]


def test_messages_that_a_restored_journal_lacks_are_told_of_until_they_come_again(watched):
    watched.write(eras.ensure_era, watched.now)
    kept = entry(document("H55.13", "H55.01"), 1, at=watched.now)
    lost = KnownReceipt("x", "sotttt", "m1", kept.sha256, watched.now)
    watched.write(eras.add_lost_receipts, 1, [lost])
    assert watched.look() == ["raised receipts-awaited"]
    watched.write(messages.record_message, kept, ROUTES)
    assert watched.look(11 * MINUTE) + watched.look(11 * MINUTE) == ["ended receipts-awaited"]


def test_a_setting_that_waits_for_a_restart_is_told_of_until_the_node_was_restarted(watched):
    watched.look()
    one = Node(name="hai", host="máy hai", version="1", schema="1", started_at=watched.now + MINUTE)
    pending = PendingRestart(settings=("soap.port",), since=watched.now)
    watched.write(nodes.record_heartbeat, one, watched.now, pending)
    assert watched.look() == ["raised restart-pending hai"]
    assert watched.raised()[0].values == {"name": "máy hai", "settings": "soap.port"}
    watched.write(nodes.record_heartbeat, one, watched.now)
    assert watched.look() == []
    watched.now += 3 * MINUTE
    watched.write(nodes.record_heartbeat, one, watched.now)
    assert watched.look() == ["ended restart-pending hai"]


BOOK = read_shipped_book()


def test_reports_that_partners_returned_are_told_of_shortly_before_the_next_month_closes(engine):
    def read_returned(tx, within, at):
        return returned_reports.read_returned_reports(tx, BOOK, within, at)

    watched = WatchedHub(engine, now=on("2026-12-10"), returned=read_returned).open()
    watched.write(close_and_return)

    def look(after=timedelta()):
        return [each for each in watched.look(after) if "returned" in each]

    assert look() == []
    assert look(2 * DAY + HOUR) == ["raised returned-reports edoc 2026-11"]
    (alert,) = [each for each in watched.raised() if each.key.kind == "returned-reports"]
    assert alert.values["count"] == 1
    watched.write(accept_again)
    assert look(11 * MINUTE) + look(11 * MINUTE) == ["ended returned-reports edoc 2026-11"]


def close_and_return(tx):
    unit_registry.write_registry_units(tx, [Unit("H55", "Tỉnh"), Unit("H55.13", "Sở", "H55")])
    put(tx, dossier("1", "received", "2026-10-20", "2026-10-20", unit="H55.13"))
    closing.close_month(tx, BOOK, "edoc", parse_period("2026-11"), on("2026-11-15"), "an")
    kept, octets = give_out(tx)
    take_back(tx, kept, by_xmlsec(octets))
    hand_in(tx)
    told_there(tx, "returned", reasons=("thiếu thuyết minh",))


def accept_again(tx):
    second, other = give_out(tx, reason="đã bổ sung", now=SIGNED + MINUTE)
    take_back(tx, second, by_xmlsec(other, at=SIGNED + MINUTE), now=SIGNED + MINUTE)
    hand_in(tx, now=SIGNED + MINUTE)
    told_there(tx, "accepted", revision=2)


# --- once, whatever happens ---


def test_a_restart_tells_nothing_again(watched):
    watched.write(die, 1, "refused: E05", at=watched.now)
    assert watched.look() == ["raised dead-letters vpub"]
    watched.start("một")
    assert watched.look(MINUTE) == []


def test_of_two_nodes_one_judges_what_they_share_and_each_its_own_disk(watched, monkeypatch):
    watched.look()
    watched.start("hai")
    watched.write(die, 1, "refused: E05", at=watched.now)
    assert watched.look(timedelta(seconds=1)) == ["raised dead-letters vpub"]
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: 1 << 20)
    assert watched.look() == ["raised disk-low /", "raised disk-low /"]
    assert {each.key.node for each in watched.raised()} == {"", "một", "hai"}


def test_two_nodes_that_both_take_themselves_for_the_leading_one_tell_once(watched):
    met = conditions._make_met_condition(ConditionKind.CHAIN, "", AlertSeverity.ERROR, {})
    found = ConditionRound(met=(met,), judged={"chain-behind"}, node="một", shared=True)
    steps = [watched.write(hub_alerts.write_steps, found, watched.now, TransitionRules()) for _ in range(2)]
    assert [len(each) for each in steps] == [1, 0]


def test_what_flickers_does_not_end_in_between(alone, monkeypatch):
    free = 0
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: free)
    assert alone.look() == ["raised disk-low /"]
    for _ in range(10):
        free = 3 << 30
        assert alone.look(MINUTE) == []
        free = 0
        assert alone.look(MINUTE) == []


def test_the_alerts_of_a_node_that_has_ended_end_with_it(on_sqlite, monkeypatch):
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: 0)
    watched = WatchedHub(on_sqlite).open()
    watched.start("hai")
    assert watched.look() == ["raised disk-low /", "raised disk-low /"]
    del watched.nodes["hai"]
    watched.write(nodes.record_node_end, "hai", watched.now)
    assert watched.look(timedelta(seconds=1)) == [], "it may only have been slow to write its heartbeat"
    assert watched.look(SETTLED) == ["ended disk-low /"]


def test_what_nobody_acknowledges_is_told_again_once(alone):
    alone.write(die, 1, "refused: E05", at=alone.now)
    assert alone.look() == ["raised dead-letters vpub"]
    assert alone.look(23 * HOUR) == []
    assert alone.look(HOUR) == ["reminder dead-letters vpub"]
    assert alone.look(48 * HOUR) == []


def test_what_was_acknowledged_is_not_reminded_of(alone):
    alone.write(die, 1, "refused: E05", at=alone.now)
    alone.look()
    key = HubAlertKey("dead-letters", "vpub")
    assert len(alone.write(hub_alerts.acknowledge_alerts, {key}, by="chi", note="", now=alone.now)) == 1
    assert alone.write(hub_alerts.acknowledge_alerts, {key}, by="chi", note="", now=alone.now) == []
    assert alone.look(48 * HOUR) == []


def test_what_was_not_read_this_time_does_not_end(alone):
    met = conditions._make_met_condition(ConditionKind.RETURNED, "edoc 2026-10", AlertSeverity.WARNING, {})
    found = ConditionRound(met=(met,), judged={"returned-reports"}, node="một", shared=True)
    alone.write(hub_alerts.write_steps, found, alone.now, TransitionRules())
    assert alone.settle() == []
    assert [each.key.kind for each in alone.raised()] == ["returned-reports"]


def test_an_alert_that_ended_long_ago_is_forgotten(alone, monkeypatch):
    free = 0
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: free)
    alone.look()
    free = 3 << 30
    alone.settle()
    alone.look(timedelta(days=89))
    assert len(alone.write(hub_alerts.read_alerts)) == 1
    alone.look(timedelta(days=2))
    assert alone.write(hub_alerts.read_alerts) == []


def test_a_node_that_fell_silent_says_nothing_of_a_link(alone):
    tell_link(alone, "máy-in", ("a", LinkState.DOWN, alone.now))
    assert alone.look(2 * HOUR) == []


def test_an_untroubled_hub_writes_nothing(watched):
    watched.look()
    before = watched._serial()
    assert watched.look(HOUR) == []
    assert watched._serial() == before


def test_a_busy_writer_and_who_wants_more_than_its_share_are_told_of_until_it_is_over(watched):
    at = watched.now.timestamp()
    for second in range(300):
        watched.budget.charge("sotttt", 2.0, 0.5, at + second)
        watched.budget.charge("vpub", 0.01, 0.4, at + second)
    assert watched.look(timedelta(seconds=300)) == ["raised writer-busy", "raised writer-busy sotttt"]
    ended = watched.look(10 * MINUTE) + watched.look(10 * MINUTE)
    assert ended == ["ended writer-busy", "ended writer-busy sotttt"]
