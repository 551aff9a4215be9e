"""Settles as a set the claims of one commit whose documents were delivered: one query, one statement a table.

Most attempts succeed, and what follows from one of these is the same: the attempt ends, its deliveries are delivered,
each recipient has its fact, and the next delivery of the lane is free. All other attempts are settled one by one
(hub.journal.queue.claims), with the same result and the same rows.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from hub.domain.lifecycle import move_delivery
from hub.domain.model import DOCUMENTS, DeliveryState, Event, Fact, PacketKind
from hub.journal import events, facts
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import deliveries, exchanges, lanes, partner_state
from hub.journal.queue.claims import EndedAttempt, make_attempt_end
from hub.journal.queue.exchanges import Keeping
from hub.partner.circuit_breaker import Breaker
from hub.store import transactions
from hub.store.hot_statements import SetInsert, SetQuery
from hub.store.tables import fact, write_instant
from hub.store.transactions import Transaction

#: The deliveries asked that are being sent by their holder in an attempt that has not ended, with what their facts need
#: of the message, and whether another delivery of the lane waits behind them.
_HELD = SetQuery(
    """
WITH asked (number, attempt, delivery, holder) AS (VALUES {rows})
SELECT asked.number, delivery.id AS delivery, delivery.recipient, delivery.lane, EXISTS (
        SELECT 1 FROM delivery AS next
        WHERE next.lane = delivery.lane AND next.recipient = delivery.recipient AND next.state = 'waiting'
    ) AS more,
    message.id, message.service, message.kind, message.sender, message.document_id, message.sha256,
    message.received_at, message.document_type, message.paper, message.signature, message.due, message.outside,
    EXISTS (
        SELECT 1 FROM attempt AS earlier
        WHERE earlier.message = delivery.message AND earlier.partner = delivery.partner
            AND earlier.exchange IS NOT NULL
    ) AS tried,
    EXISTS (SELECT 1 FROM unit WHERE unit.code = delivery.recipient AND unit.until IS NOT NULL) AS ends
FROM asked
JOIN delivery ON delivery.id = asked.delivery AND delivery.state = 'sending' AND delivery.holder = asked.holder
JOIN attempt ON attempt.id = asked.attempt AND attempt.ended_at IS NULL
JOIN message ON message.id = delivery.message
ORDER BY delivery.id
""".strip(),
    ("int", "text", "text", "text"),
    locks=("delivery", "attempt"),
)
_END_ATTEMPTS = SetQuery(
    """
WITH ended (id, ended_at, outcome, detail, request_sha256, reply_sha256, reply_status, call_ms,
    exchange, exchange_octets, varying) AS (VALUES {rows})
UPDATE attempt SET ended_at = ended.ended_at, outcome = ended.outcome, detail = ended.detail,
    request_sha256 = ended.request_sha256, reply_sha256 = ended.reply_sha256, reply_status = ended.reply_status,
    call_ms = ended.call_ms, exchange = ended.exchange, exchange_octets = ended.exchange_octets,
    varying = ended.varying
FROM ended WHERE attempt.id = ended.id
""".strip(),
    ("text", "text", "text", "text", "text", "text", "int", "int", "text", "int", "text"),
)
_DELIVER = SetQuery(
    """
WITH delivered (id, state, crashes, reason, changed_at) AS (VALUES {rows})
UPDATE delivery SET state = delivered.state, crashes = delivered.crashes, reason = delivered.reason,
    changed_at = delivered.changed_at, holder = NULL, lease_until = NULL
FROM delivered WHERE delivery.id = delivered.id
""".strip(),
    ("text", "text", "int", "text", "text"),
)
_FACTS = SetInsert(fact, skips=True)
_COLUMNS = (
    *("number", "delivery", "recipient", "lane", "more"),
    *("id", "service", "kind", "sender", "document_id", "sha256"),
    *("received_at", "document_type", "paper", "signature", "due", "outside", "tried", "ends"),
)


def settle_delivered_claims(tx: Transaction, ended: Sequence[EndedAttempt]) -> list[bool | None]:
    """Settle as a set the claims whose documents were delivered. Return True for each, or None: it is to be settled alone.

    Raises `Contested` where the set cannot be written. What it wrote must then be undone, and each settled alone.
    """
    results: list[bool | None] = [None] * len(ended)
    chosen = _choose_together(tx, ended)
    held = _read_held(tx, {number: ended[number] for number in chosen})
    if not held:
        return results
    keepings = _choose_keepings(tx, ended, held)
    held = {number: found for number, found in held.items() if number in keepings}
    rows = [row for found in held.values() for row in found]
    exchanges.write_exchanges(tx, (each for each in keepings.values() if each is not None))
    _END_ATTEMPTS.run(tx, [_describe_end(ended[number], keepings[number]) for number in held])
    _DELIVER.run(tx, [_describe_delivery_end(ended[row["number"]], row) for row in rows])
    told: list[Event] = []
    counted: list[Fact] = []
    for number, found in held.items():
        one = ended[number]
        told.append(make_attempt_end(one.claim, one.outcome, one.verdict, one.now))
        for row in found:
            told.append(_tell_settlement(one, row))
            if row["kind"] != PacketKind.STATUS:
                received = facts.make_received_fact(row, row["recipient"], one.now)
                counted.append(received)
                told.append(facts.make_fact_event(received))
    if _FACTS.run(tx, [fact_rows.make_row(each) for each in counted]) != len(counted):
        raise transactions.Contested
    events.append_events(tx, *told)
    lanes.free_next_in_lane(tx, [(row["lane"], row["recipient"]) for row in rows if row["more"]])
    for number in held:
        results[number] = True
    return results


def _choose_together(tx: Transaction, ended: Sequence[EndedAttempt]) -> list[int]:
    """Return the numbers of those that may be settled together. Their lanes are locked, and no breaker moves."""
    breakers: dict[str, Breaker] = {}
    found, sent = [], 0
    about: set[tuple[str, str]] = set()
    for number, each in enumerate(ended):
        exchanged = (each.claim.message, each.claim.partner)
        if exchanged in about:
            continue  # what is kept of one depends on what is kept of the other
        if each.verdict.state is not DeliveryState.DELIVERED or each.verdict.due is not None or not each.verdict.counts:
            continue
        if each.claim.again:  # a repetition makes no fact
            continue
        if (
            each.claim.failed or each.claim.unsure is not None or each.verdict.twice or each.verdict.ids
        ):  # more is written of it
            continue
        if each.heard is not None:
            name = each.claim.partner
            if name not in breakers:
                breakers[name] = partner_state.read_partner_standing(tx, name).breaker
            if each.heard(breakers[name]) != breakers[name]:
                continue
        if sent + len(each.claim.deliveries) <= deliveries.MOST_IN_SET:
            sent += len(each.claim.deliveries)
            found.append(number)
            about.add(exchanged)
    places = {number: {(ended[number].claim.lane, each) for each in ended[number].claim.recipients} for number in found}
    open_lanes = lanes.try_lock_lanes(tx, {place for number in found for place in places[number]})
    return [number for number in found if places[number] <= open_lanes]


def _read_held(tx: Transaction, ended: Mapping[int, EndedAttempt]) -> dict[int, list[dict[str, Any]]]:
    """Return the locked rows of each attempt whose deliveries are all held, and all of documents.

    None of a unit with an end: what it receives may count to another one.
    """
    asked = [
        (number, each.claim.attempt, name, each.claim.holder)
        for number, each in ended.items()
        for name in each.claim.deliveries
    ]
    found: dict[int, list[dict[str, Any]]] = {}
    for cells in _HELD.read(tx, asked):
        row = dict(zip(_COLUMNS, cells, strict=True))
        row |= {name: bool(row[name]) for name in ("more", "paper", "outside", "ends")}
        row["due"] = row["due"] and date.fromisoformat(row["due"])
        found.setdefault(row["number"], []).append(row)
    return {
        number: rows
        for number, rows in found.items()
        if len(rows) == len(ended[number].claim.deliveries)
        and rows[0]["service"] == DOCUMENTS
        and not any(row["ends"] for row in rows)
    }


def _choose_keepings(
    tx: Transaction, ended: Sequence[EndedAttempt], held: Mapping[int, list[dict[str, Any]]]
) -> dict[int, Keeping | None]:
    """Return by number how each exchange is kept (None: there is none), without those that displace another."""
    tried = [number for number, rows in held.items() if ended[number].exchange.kept and rows[0]["tried"]]
    claims = {number: ended[number].claim for number in tried}
    earlier = exchanges.read_earlier_exchanges(tx, [(n, each.message, each.partner) for n, each in claims.items()])
    found: dict[int, Keeping | None] = {}
    for number in held:
        kept, claim = ended[number].exchange.kept, ended[number].claim
        if kept is None:
            found[number] = None
            continue
        keeping = exchanges.choose_keeping(kept, earlier.get(number, {}), claim.message, claim.partner)
        if keeping.displaced is None:
            found[number] = keeping
    return found


def _describe_end(one: EndedAttempt, keeping: Keeping | None) -> tuple[object, ...]:
    sent = one.exchange
    return (
        *(one.claim.attempt, write_instant(one.now), str(one.outcome), one.verdict.reason or one.verdict.word),
        *(sent.request_sha256, sent.reply_sha256, sent.reply_status, sent.call_ms),
        *((None, None, None) if keeping is None else keeping.columns()),
    )


def _describe_delivery_end(one: EndedAttempt, row: Mapping[str, Any]) -> tuple[object, ...]:
    state = move_delivery(DeliveryState.SENDING, one.outcome, one.verdict.state)
    return (row["delivery"], str(state), one.verdict.crashes, one.verdict.reason, write_instant(one.now))


def _tell_settlement(one: EndedAttempt, row: Mapping[str, Any]) -> Event:
    body = {"recipient": row["recipient"], "partner": one.claim.partner}
    body |= {"reason": one.verdict.reason} if one.verdict.reason else {}
    return Event("delivery-delivered", one.now, one.claim.message, row["delivery"], body)
