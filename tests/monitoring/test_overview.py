"""The overview says of each partner what waits and what is wrong, and costs the same however much there is."""

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from hub import config
from hub.domain.conversations import Unavailable
from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, Event, Problem, Receive
from hub.journal import events, messages, nodes
from hub.journal.queue import claims, partner_state
from hub.keeping import eras
from hub.keeping.eras import KnownReceipt
from hub.monitoring import link_rows, overview
from hub.monitoring.overview import BoundedCount, Concern, ExchangeRate, measure_overview
from hub.partner import circuit_breaker
from hub.partner.policy import Policy
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store.tables import event
from tests import pki
from tests.province import NOW, ROUTES, document, entry


@pytest.fixture
def partners(monkeypatch):
    monkeypatch.setattr(overview, "count_days_left", lambda ends, _now: None if ends is None else 300)
    return {
        code: config.Partner(
            code=code, name=code.upper(), certificates=(pki.partner(code).certificate,), receive=receive
        )
        for code, receive in (("sotttt", Receive.FETCH), ("vpub", Receive.PUSH))
    }


def measured(tx, partners, now=NOW):
    found = measure_overview(tx, partners, now)
    return found, {each.code: each for each in found.partners}


def take(tx, number, sender="H55.13", *recipients, at=NOW, partner="sotttt"):
    messages.record_message(
        tx,
        entry(document(sender, *recipients, document_id=f"D{number}"), number, at=at, partner=partner, id=make_id(at)),
        ROUTES,
    )


def refuse(tx, number, at=NOW):
    problems = (Problem("unit-unknown", "H55.99"),)
    messages.record_message(tx, entry(document(), number, at=at, id=make_id(at), problems=problems), ROUTES)


def numbers(found):
    return {str(state): each.count.number for state, each in found.deliveries.items() if each.count.number}


def test_each_partner_has_its_numbers(tx, partners):
    for number in range(1, 4):
        take(tx, number, at=NOW - timedelta(minutes=number))
    take(tx, 4, "H55.01", "H55.13", partner="vpub")
    claims.claim_deliveries(tx, "vpub", NOW, limit=1, holder="node", lease=timedelta(minutes=1))
    refuse(tx, 5)
    refuse(tx, 6, at=NOW - timedelta(days=1))
    events.append_events(
        tx,
        Event("call-refused", NOW, None, None, {"partner": "vpub", "code": "not-yours", "tracking": make_id(NOW)}),
        Event("call-refused", NOW, None, None, {"certificate": "ab", "code": "certificate-unknown"}),
        Event("call-refused", NOW - timedelta(days=1), None, None, {"partner": "vpub", "code": "replayed"}),
    )
    found, by_code = measured(tx, partners)
    assert list(by_code) == ["sotttt", "vpub"]
    assert numbers(by_code["vpub"]) == {"waiting": 2, "sending": 1}
    assert by_code["vpub"].oldest == NOW - timedelta(minutes=3)
    assert numbers(by_code["sotttt"]) == {"held": 1}
    assert by_code["sotttt"].refused_messages == BoundedCount(1)
    assert by_code["vpub"].refused_calls == found.strangers == BoundedCount(1)


def test_what_needs_attention_is_named(tx, partners):
    take(tx, 1, at=NOW - timedelta(hours=2))
    step = partial(
        circuit_breaker.record_breaker_failure, policy=Policy(), now=NOW, random=0.5, outcome=Unavailable("refused")
    )
    for _ in range(circuit_breaker.FAILURES):
        partner_state.move_breaker(tx, "vpub", step, NOW)
    link = Link(name="vpub", host="127.0.0.1", port=1, tls=True)
    for node, state in (("a", LinkState.UP), ("b", LinkState.DOWN)):
        seen = LinkStanding(state=state, since=NOW, seen_at=NOW)
        link_rows.record_link_standings(tx, node, {link: seen}, {}, (), timedelta(minutes=1), NOW)
    found, by_code = measured(tx, partners)
    assert by_code["vpub"].concerns == (Concern.BREAKER, Concern.LINK, Concern.LATE)
    assert (by_code["vpub"].link.node, by_code["sotttt"].link) == ("b", None)
    assert by_code["sotttt"].concerns == ()
    assert found.concerns == (Concern.NO_NODE, *by_code["vpub"].concerns)
    nodes.record_heartbeat(tx, nodes.Node(name="n", host="h", version="1", schema="1", started_at=NOW), NOW)
    partner_state.pause_partner(tx, "vpub", reason="bảo trì", by="an", now=NOW)
    found, by_code = measured(tx, partners)
    assert by_code["vpub"].pause.reason == "bảo trì"
    assert found.nodes == 1
    assert Concern.NO_NODE not in found.concerns


def test_a_certificate_that_ends_soon_needs_attention(tx, partners, monkeypatch):
    monkeypatch.setattr(overview, "count_days_left", lambda _ends, _now: 29)
    _, by_code = measured(tx, partners)
    assert by_code["vpub"].concerns == (Concern.CERTIFICATE,)
    monkeypatch.setattr(overview, "count_days_left", lambda _ends, _now: 30)
    _, by_code = measured(tx, partners)
    assert by_code["vpub"].concerns == ()


def test_a_partner_that_was_removed_is_told_of_while_anything_waits_for_it(tx, partners):
    take(tx, 1)
    del partners["vpub"]
    _, by_code = measured(tx, partners)
    assert (by_code["vpub"].concerns, by_code["vpub"].days_left) == ((Concern.UNCONFIGURED,), None)


def test_counts_are_bounded_and_say_so(tx, partners, monkeypatch):
    monkeypatch.setattr(overview, "MOST", 2)
    monkeypatch.setattr(overview, "_TOGETHER", 3)
    for number in range(1, 6):
        take(tx, number, at=NOW - timedelta(minutes=9 - number))
    take(tx, 6, "H55.01", "H55.13", partner="vpub")
    for number in range(7, 11):
        refuse(tx, number)
    _, by_code = measured(tx, partners)
    assert by_code["vpub"].deliveries[DeliveryState.WAITING].count == BoundedCount(2, more=True)
    assert by_code["vpub"].oldest == NOW - timedelta(minutes=8)
    assert by_code["sotttt"].deliveries[DeliveryState.HELD].count == BoundedCount(1)
    assert by_code["sotttt"].refused_messages == BoundedCount(2, more=True)


def test_both_ways_of_counting_agree(tx, partners, monkeypatch):
    for number in range(1, 6):
        take(tx, number, at=NOW - timedelta(minutes=number))
    take(tx, 6, "H55.01", "H55.13", partner="vpub")
    together = measure_overview(tx, partners, NOW)
    monkeypatch.setattr(overview, "_TOGETHER", 0)
    assert measure_overview(tx, partners, NOW) == together


def test_rates_are_those_of_the_last_minute(tx, partners):
    take(tx, 1, at=NOW - timedelta(minutes=2))
    take(tx, 2, at=NOW - timedelta(seconds=59))
    take(tx, 3)
    refuse(tx, 4)
    found, _ = measured(tx, partners)
    assert (found.accepted, found.refused, found.delivered) == (
        ExchangeRate(number=2),
        ExchangeRate(number=1),
        ExchangeRate(number=0),
    )


def test_a_busy_minute_is_projected_from_the_newest_events(tx, partners, monkeypatch):
    monkeypatch.setattr(overview, "_NEWEST", (5, 20))
    rows = [
        {"text": events._write_event_text(Event(name, NOW - timedelta(seconds=second), "m"))}
        for second in range(30, 0, -1)
        for name in ("message-accepted", "delivery-delivered")
    ]
    tx.execute(sa.insert(event), rows)
    found, _ = measured(tx, partners)
    assert found.accepted == found.delivered == ExchangeRate(number=60, estimated=True)


def test_no_statement_reads_more_than_its_bound(tx, partners):
    """Each is answered by an index, or reads the newest events only."""
    if tx.dialect.name != "sqlite":
        return
    asked = []
    sa.event.listen(tx.engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    overview._count_deliveries(tx)
    overview._count_refused(tx, "vpub", NOW)
    overview._measure_rates(tx, NOW)
    list(overview._list_waiting_partners(tx, DeliveryState.WAITING))
    overview._COUNT_ONE.first(tx, {"state": "waiting", "partner": "vpub", "most": 5})
    plans = [str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple(values)).all()) for sql, values in list(asked)]
    assert len(plans) == 5
    assert all("ix_delivery_undelivered" in plan for plan in (plans[0], *plans[3:]))
    assert "ix_message_partner" in plans[1]
    assert "SCAN event'" in plans[2]
    assert all("TEMP B-TREE FOR ORDER BY" not in plan for plan in plans)


def test_messages_whose_receipts_alone_are_left_are_a_concern_until_they_come_again(tx, partners):
    nodes.record_heartbeat(tx, nodes.Node(name="one", host="h", version="1", schema="1", started_at=NOW), NOW)
    eras.ensure_era(tx, NOW)
    kept = entry(document("H55.13", "H55.01"), 1)
    eras.add_lost_receipts(tx, 1, [KnownReceipt("x", "sotttt", "m1", kept.sha256, NOW)])
    found, _ = measured(tx, partners)
    assert (found.awaited, found.concerns) == (BoundedCount(1), (Concern.RECEIPTS,))
    messages.record_message(tx, kept, ROUTES)
    found, _ = measured(tx, partners)
    assert (found.awaited, found.concerns) == (BoundedCount(), ())
