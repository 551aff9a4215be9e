"""The one invariant checker: compares what both sides recorded, and names every disagreement by its invariant.

Knows I1 to I10 of docs/explanation/faults.md; not what was broken, nor any of the hub's code.  It is given values and returns
values, so that each invariant is tested with a planted violation (test_checker.py).
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator

import attrs

from tests.faults.evidence import Evidence, Sent

INVARIANTS = {
    "I1": "every receipted message is in the journal with the same bytes",
    "I2": "every receipted message reached each recipient at least once, or is dead with a reason",
    "I3": "every result is counted exactly once",
    "I4": "nothing is delivered that no sender has a receipt for, but for answers that were lost",
    "I5": "what was sent again got the same receipt, and a lost answer is told alike in all places",
    "I6": "what is delivered again has the same id and the same bytes",
    "I7": "no lane is out of order",
    "I8": "every receipt verifies outside the hub",
    "I9": "the chain of events is unbroken and tells what the tables tell",
    "I10": "no delivery is held for longer than a conversation may take, or than its node lives",
}


@attrs.frozen
class Violation:
    """One disagreement."""

    invariant: str
    what: str


def check(evidence: Evidence) -> list[Violation]:
    """Return every violation."""
    rules = {
        "I1": _kept,
        "I2": _delivered,
        "I3": _counted_once,
        "I4": _nothing_else,
        "I5": _answered_alike,
        "I6": _repeated_alike,
        "I7": _in_order,
        "I8": _verified,
        "I9": _chained,
        "I10": _let_go,
    }
    return [Violation(name, what) for name, rule in rules.items() for what in rule(evidence)]


def _receipted(evidence: Evidence) -> list[Sent]:
    return [each for each in evidence.sent if each.receipts]


def _kept(evidence: Evidence) -> Iterator[str]:
    kept = {each.message_id: each for each in evidence.journal.messages if each.state == "accepted"}
    for each in _receipted(evidence):
        row = kept.get(each.message_id)
        if row is None:
            yield f"{each.message_id} has a receipt and is not in the journal"
        elif each.sha256 not in (row.sha256, None) or row.kept != each.sha256:
            yield f"{each.message_id} was sent as {each.sha256} and is kept as {row.kept}, called {row.sha256}"
        elif each.receipts[-1][0] != row.id:
            yield f"{each.message_id} is {row.id} in the journal, {each.receipts[-1][0]} in its receipt"


def _delivered(evidence: Evidence) -> Iterator[str]:
    deliveries = defaultdict(list)
    for delivery in evidence.journal.deliveries:
        deliveries[delivery.message].append(delivery)
    told = {(each.partner, each.document_id, each.answer) for each in evidence.arrivals}
    for each in _receipted(evidence):
        document_id = each.receipts[-1][0]
        ways = {delivery.recipient: delivery for delivery in deliveries[document_id]}
        if set(ways) != set(each.recipients) or len(deliveries[document_id]) != len(each.recipients):
            yield f"{each.message_id} to {each.recipients} has deliveries to {sorted(ways)}"
        for recipient, way in ways.items():
            place = f"{each.message_id} to {recipient} ({way.partner})"
            if way.state == "delivered":
                fetched = (way.partner, document_id, "fetched") in told and document_id in evidence.confirmed
                if (way.partner, document_id, "accepted") not in told and not fetched:
                    yield f"{place} is `delivered`, and its partner never took it"
            elif way.state != "dead":
                yield f"{place} is `{way.state}` at the end: {way.reason}"
            elif not way.reason:
                yield f"{place} is dead without a reason"
            elif not way.reason.startswith(("refused", "recalled", "removed", "replaced", "given up")):
                yield f"{place} is dead for: {way.reason}"
            elif way.reason.startswith("refused") and (way.partner, document_id, "refused") not in told:
                yield f"{place} is dead as refused, and its partner refused nothing"


def _counted_once(evidence: Evidence) -> Iterator[str]:
    """One `sent` a message, one `received` a recipient that has it, one `failed` a message that somebody does not get.

    Two for each day of a series, which are written slice by slice after the receipt, and one for the series.
    """
    expected: Counter[tuple[str, str, str]] = Counter()
    by_id = {each.id: each for each in evidence.journal.messages if each.state == "accepted"}
    known = {each.message_id: each for each in evidence.sent}
    documents = updates = 0
    for row in by_id.values():
        each = known.get(row.message_id or "")
        if each is None:
            continue  # I4 says so
        expected[row.id, each.unit, "sent-update" if each.place else "sent"] = 1
        expected.update(_called(row.id, each))
        documents, updates = documents + (each.place == 0), updates + (each.place > 0)
    for delivery in evidence.journal.deliveries:
        row = by_id[delivery.message]
        each = known.get(row.message_id or "")
        if delivery.state == "delivered":
            expected[row.id, delivery.recipient, "received"] = 1
        elif delivery.state == "dead" and each is not None:
            expected[row.id, each.unit, "failed"] = 1
    for name, found in (
        ("the table of facts", Counter((fact.message, fact.unit, fact.milestone) for fact in evidence.journal.facts)),
        ("`report --facts`", Counter(evidence.facts)),
    ):
        for key in sorted(set(expected) | set(found)):
            if expected[key] != found[key]:
                yield f"{key} is counted {found[key]} times in {name}, and should be {expected[key]} times"
    for column, number in (("sent", documents), ("updates", updates)):
        if evidence.counted.get(column) != number:
            yield f"the report says {evidence.counted.get(column)} {column}, and there are {number}"


def _called(message: str, each: Sent) -> Counter[tuple[str, str, str]]:
    """Return the facts of the series that *each* calls, if it calls one."""
    facts = {"called": each.series, "scheduled": each.series, "series": int(each.series > 0)}
    return Counter({(message, each.unit, milestone): number for milestone, number in facts.items() if number})


def _nothing_else(evidence: Evidence) -> Iterator[str]:
    known = {each.message_id: each for each in evidence.sent}
    accepted = {each.id: each for each in evidence.journal.messages if each.state == "accepted"}
    for row in accepted.values():
        each = known.get(row.message_id or "")
        if each is None:
            yield f"the journal has {row.message_id}, which nobody sent"
        elif not each.receipts and not each.unknown:
            yield f"the journal has {row.message_id}, whose sender was told {each.refused or 'nothing'}"
    lost = {each.sha256 for each in evidence.sent if each.message_id in evidence.again}
    for arrival in evidence.arrivals:
        found = accepted.get(arrival.document_id)
        if found is None and arrival.sha256 not in lost:
            yield f"{arrival.partner} got {arrival.document_id}, which is not in the journal"
        elif found is not None and found.sha256 != arrival.sha256:
            yield f"{arrival.partner} got {arrival.document_id} as {arrival.sha256}; it is {found.sha256}"


def _answered_alike(evidence: Evidence) -> Iterator[str]:
    accepted = {each.message_id: each for each in evidence.journal.messages if each.state == "accepted"}
    routed = {each.message for each in evidence.journal.deliveries}
    facts = {fact.message for fact in evidence.journal.facts}
    for each in evidence.sent:
        if len(set(each.receipts)) > 1 and each.message_id not in evidence.again:
            yield f"{each.message_id} has {len(set(each.receipts))} receipts"
        row = accepted.get(each.message_id)
        if row is None:
            continue
        if each.receipts and row.receipt and _plain(each.receipts[-1][1].encode()) != _plain(row.receipt):
            yield f"{each.message_id}: its receipt is not the stored one"
        if row.id not in routed or row.id not in facts:
            yield f"{each.message_id} is in the journal without its deliveries or its facts"


def _plain(receipt: bytes) -> str:
    """Return the signature's value: the same for the same receipt, however it is written."""
    _, _, rest = receipt.partition(b"SignatureValue>")
    value, _, _ = rest.partition(b"<")
    return "".join(value.decode("ascii", "replace").split())


def _repeated_alike(evidence: Evidence) -> Iterator[str]:
    bytes_of: dict[str, set[str]] = defaultdict(set)
    ids_of: dict[str, set[str]] = defaultdict(set)
    for arrival in evidence.arrivals:
        bytes_of[arrival.document_id].add(arrival.sha256)
        ids_of[arrival.sha256].add(arrival.document_id)
    for document_id, found in bytes_of.items():
        if len(found) > 1:
            yield f"{document_id} came with {len(found)} different contents"
    lost = {each.sha256 for each in evidence.sent if each.message_id in evidence.again}
    for sha256, ids in ids_of.items():
        if len(ids) > 1 and sha256 not in lost:
            yield f"{sha256} came under the ids {sorted(ids)}"


def _in_order(evidence: Evidence) -> Iterator[str]:
    """Each arrival is at the place that its lane has reached, or at the next: never further, and never back.

    Only a partner that fetches may go back: it asks for what it likes, as often as it likes.  A journal that was put back from a
    backup begins where the backup was; a partner that fetches may then pass over what it fetched before.
    """
    known = {each.id for each in evidence.journal.messages}
    lanes: dict[tuple[str, str, bool], int] = {}
    for arrival in evidence.arrivals:
        if arrival.document_id not in known:
            continue  # I4 says so, unless it went with a torn journal
        after = arrival.at > evidence.restored and arrival.answer != "fetched"
        lane = (arrival.partner, arrival.lane, after)
        reached = lanes.get(lane, arrival.place if after else -1)
        least = 0 if arrival.answer == "fetched" else reached
        if not least <= arrival.place <= reached + 1:
            yield f"{arrival.partner} got place {arrival.place} of lane {arrival.lane} when it was at {reached}"
        lanes[lane] = max(reached, arrival.place)


def _verified(evidence: Evidence) -> Iterator[str]:
    for message_id in evidence.unverified:
        yield f"the receipt of {message_id} does not verify"


def _chained(evidence: Evidence) -> Iterator[str]:
    events = evidence.journal.events
    late = [event.serial for event in events if event.number is None]
    if late:
        yield f"{len(late)} events have no number at the end, from serial {late[0]}"
    link = "0" * 64
    for expected, event in enumerate(sorted((e for e in events if e.number), key=lambda e: e.number or 0), start=1):
        link = hashlib.sha256(f"{link}\n{event.text}".encode()).hexdigest()
        if event.number != expected or event.hash != link:
            yield f"the chain is broken at {event.number} (expected {expected})"
            break
    told = Counter((json.loads(event.text)["event"], event.delivery or event.message) for event in events)
    for row in evidence.journal.messages:
        if told[f"message-{row.state}", row.id] != 1:
            yield f"{row.id} is {row.state}, and {told[f'message-{row.state}', row.id]} events say so"
    for delivery in evidence.journal.deliveries:
        for state in ("delivered", "dead"):
            times, expected = told[f"delivery-{state}", delivery.id], int(delivery.state == state)
            if times != expected:
                yield f"delivery {delivery.id} is {delivery.state}, and {times} events say {state}"


def _let_go(evidence: Evidence) -> Iterator[str]:
    for delivery in evidence.journal.deliveries:
        if delivery.state == "sending" or delivery.holder is not None:
            yield f"delivery {delivery.id} is {delivery.state}, held by {delivery.holder}, at the end"
    if evidence.stuck.seconds > evidence.stuck.allowed:
        stuck = evidence.stuck
        yield f"delivery {stuck.delivery} was held for {stuck.seconds:.1f} s, at most {stuck.allowed:.1f} s is allowed"
    counted: Counter[tuple[str, str]] = Counter()
    for attempt in evidence.journal.attempts:
        if not attempt.ended:
            yield f"an attempt of {attempt.message} to {attempt.partner} never ended"
        if attempt.outcome in {"accepted", "refused", "unavailable"}:
            counted[attempt.message, attempt.partner] += 1
    for delivery in evidence.journal.deliveries:
        most = counted[delivery.message, delivery.partner]
        if delivery.attempts > most:
            yield f"delivery {delivery.id} counts {delivery.attempts} attempts, of {most} that ended by themselves"
