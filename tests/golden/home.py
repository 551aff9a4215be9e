"""The hub whose journal all golden cases share: a little of everything that a command or an operation shows.

What commands list of the last days is of the last hour; nothing here is compared but its shape.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from hub.domain.alert_severity import AlertSeverity
from hub.domain.conversations import Reply, Request
from hub.domain.ids import make_id
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState, Event, Problem
from hub.edxml.sample import make_sample_packet
from hub.journal import events, messages, nodes
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.keeping import hub_alerts
from hub.keeping.hub_alerts import ConditionRound, HubAlertKey, MetCondition, TransitionRules
from hub.monitoring import link_rows
from hub.partner.kept_exchange import keep_exchange
from hub.report.form.period import find_month_containing
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store import transactions
from hub.store.transactions import Transaction
from tests import homes
from tests.journal.test_open_work import settle, tell
from tests.journal.test_replay_plans import ALL, order, run
from tests.monitoring.test_failures import die, refuse, refuse_call
from tests.province import ROUTES, document, entry, status

_ASKED = Request("https://vpub.example/edoc", b"x", (("SOAPAction", "Send"), ("Authorization", "Basic abc")))
_ANSWERS = (
    (Reply(503, b"<away/>", {"date": "Tue"}), DeliveryEvent.UNAVAILABLE, AttemptVerdict(DeliveryState.WAITING, "away")),
    (Reply(200, b"<taken/>", {}), DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED, word="taken")),
)


def make_home(home: Path) -> dict[str, str]:
    """Write the hub into *home*; return the values of the placeholders in the golden cases."""
    homes.begin(home)
    engine, now = homes.engine_of(home), datetime.now(UTC) - timedelta(minutes=90)
    with transactions.write_transaction(engine) as tx:
        named = _tell_of_messages(tx, now)
        _tell_of_the_hub(tx, now)
        _tell_of_work(tx, now)
        settle(tx)
        attempt = tx.scalars(sa.text("SELECT min(id) FROM attempt")).one()
    plans = [_plan_replay(engine, now + timedelta(hours=1, minutes=minutes)) for minutes in (1, 2)]
    engine.dispose()
    return named | {
        "plan": plans[0],
        "other": plans[1],
        "attempt": str(attempt),
        "period": find_month_containing(now).text,
        "home": str(home),
    }


def _plan_replay(engine: sa.Engine, at: datetime) -> str:
    made: str = run(engine, order(engine, ALL, again=True, key=str(at), now=at, goes=False), now=at).id
    return made


def _tell_of_messages(tx: Transaction, now: datetime) -> dict[str, str]:
    content = make_sample_packet("H55.13", "H55.01", "V/v kết nối", now.date())
    made = entry(document(), 1, at=now, id=make_id(now), content=content)
    messages.record_message(tx, made, ROUTES)
    for minutes, (reply, outcome, verdict) in enumerate(_ANSWERS, 1):
        at = now + timedelta(minutes=minutes)
        (claim,) = claims.claim_deliveries(tx, "vpub", at, limit=1, holder="n", lease=timedelta(minutes=1))
        exchange = AttemptExchange(reply_status=reply.status, kept=keep_exchange(_ASKED, reply, ()))
        assert claims.settle_claim(
            tx, claims.EndedAttempt(claim, outcome, verdict, exchange, at + timedelta(seconds=2))
        )
    answer = entry(status("03"), 2, partner="vpub", at=now, id=make_id(now + timedelta(seconds=1)))
    messages.record_message(tx, answer, ROUTES)
    dead = die(tx, 3, "refused: E05: no unit H55.1", at=now + timedelta(minutes=3))
    refused = refuse(tx, 4, Problem("unit-unknown", "H55.99"), at=now + timedelta(minutes=4))
    tracking = refuse_call(tx, "certificate-unknown", at=datetime.now(UTC))  # `status` counts those of today
    waiting = entry(document(document_id="D5"), 5, at=now, id=make_id(now + timedelta(seconds=2)))
    messages.record_message(tx, waiting, ROUTES)
    found = {"message": made.id, "answer": answer.id, "dead": dead, "refused": refused, "tracking": tracking}
    return {**found, "waiting": waiting.id}


def _tell_of_the_hub(tx: Transaction, now: datetime) -> None:
    nodes.record_heartbeat(tx, nodes.Node(name="n", host="h", version="1", schema="1", started_at=now), now)
    met = [
        MetCondition(
            key=HubAlertKey("dead-letters", "vpub"),
            severity=AlertSeverity.ERROR,
            values={"partner": "vpub", "count": 3},
        ),
        MetCondition(
            key=HubAlertKey("disk-low", "/v", "n"),
            severity=AlertSeverity.CRITICAL,
            values={"place": "/v", "mebibytes": 12},
        ),
    ]
    found = ConditionRound(met=met, judged={each.key.kind for each in met}, node="n", shared=True)
    hub_alerts.write_steps(tx, found, now, TransitionRules())
    events.append_events(
        tx,
        Event("partner-paused", now, body={"partner": "sotttt", "reason": "bảo trì", "by": "binh"}),
        Event("user-signed-in", now, body={"user": "an", "address": "10.0.0.1"}),
    )
    down = LinkStanding(state=LinkState.DOWN, since=now, seen_at=now)
    link = Link(name="vpub", host="10.0.0.1", port=443, tls=True)
    link_rows.record_link_standings(tx, "n", {link: down}, {}, [], timedelta(days=9999), now)


def _tell_of_work(tx: Transaction, now: datetime) -> None:
    today = find_local_day(datetime.now(UTC))
    field = (("field", "TP-HT"), ("field_name", "Hộ tịch"))
    days = {"day": today - timedelta(days=30), "due": today - timedelta(days=9)}
    tell(tx, "H55.13", "dossiers", "D0", "received", now + timedelta(minutes=5), attributes=field, **days)
    tell(
        tx,
        "H55.01",
        "documents",
        '["H55","=1"]',
        "received",
        now + timedelta(minutes=6),
        due=today + timedelta(days=1),
        code="=15/UBND-VP",
    )
