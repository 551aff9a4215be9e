"""Facts: each result is counted once for one unit. Makes facts of message rows and stores them.

Does not know the forms.

Rules: docs/reference/reports.md. The key of a fact is (unit, service, business key, milestone), and the first fact of a
key counts. Each fact is published by the event `fact-recorded` with all its fields, so a reader of the events alone can
count what the hub counts.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import DOCUMENTS, Event, Fact, PacketKind, SignatureStanding
from hub.journal import events
from hub.journal.fact_reading.fact_rows import Key, make_fact_key, make_row, read_facts_by_key
from hub.journal.sequels import corrected_figures, dossier_days, dossier_owners, dossier_waits
from hub.journal.sequels.dossier_owners import KnownOwners
from hub.store import transactions
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

_SENT = {
    PacketKind.DOCUMENT: "sent",
    PacketKind.RECALL: "sent-recall",
    PacketKind.UPDATE: "sent-update",
    PacketKind.REPLACEMENT: "sent-replacement",
}

#: Stands in the key of a document before the number of a return.
_RETURNED = "returned "

#: The milestones of the From unit's document: a delivery is dead, and none is any more.
FAILED, RECOVERED = "failed", "failed-over"

_TOLD = tuple(field.name for field in attrs.fields(Fact) if field.name not in {"at", "message"})
#: Values that an event leaves out: those of every document.
_PLAIN: Mapping[str, object] = {"day": None, "amount": 1, "attributes": {}}


def make_business_key(organ: str, document_id: str, *, packet: str | None = None, returns: int | None = None) -> str:
    """Return the key of a document: its From unit, edXML DocumentId and, for a change, the SHA-256 of its packet.

    *returns*: the number of the return, for what a unit has again after it had handed it over.
    """
    more = [*([packet] if packet else []), *([f"{_RETURNED}{returns}"] if returns else [])]
    return json.dumps([organ, document_id, *more], ensure_ascii=False, separators=(",", ":"))


def make_return_key(key: str) -> tuple[str, int]:
    """Return the key under which a unit has the document *key* again that it had handed over, and its number, from 2."""
    *names, last = json.loads(key)
    number = int(last.removeprefix(_RETURNED)) + 1 if names[1:] and last.startswith(_RETURNED) else 2
    names = names if number > 2 else [*names, last]
    return json.dumps([*names, f"{_RETURNED}{number}"], ensure_ascii=False, separators=(",", ":")), number


def make_sent_fact(row: Mapping[str, Any], recipients: Iterable[str], *, outside: bool) -> Fact:
    """Return the fact that the From unit sent the document *row*. *outside*: a recipient is outside the province."""
    return attrs.evolve(
        _of_document(row), milestone=_SENT[PacketKind(row["kind"])], counterpart=" ".join(recipients), outside=outside
    )


def make_received_fact(row: Mapping[Any, Any], unit: str, at: datetime) -> Fact:
    """Return the fact that *unit* received the document *row*."""
    return attrs.evolve(
        _of_document(row), unit=unit, milestone="received", at=at, counterpart=row["sender"], outside=row["outside"]
    )


def make_failure_fact(row: Mapping[str, Any], recipient: str, at: datetime, number: int = 1) -> Fact:
    """Return the fact that a delivery of the document *row* to *recipient* became dead.

    *number*: the failure's, from 1. A document fails again if all its deliveries had arrived since it failed before.
    """
    one = _of_document(row)
    key = one.key if number == 1 else json.dumps([*json.loads(one.key), f"failure {number}"], separators=(",", ":"))
    return attrs.evolve(one, milestone=FAILED, key=key, at=at, counterpart=recipient)


def make_recovery_fact(failure: Fact) -> Fact:
    """Return the fact that the *failure*, made for its end, is over: no delivery of the document is dead any more."""
    return attrs.evolve(failure, milestone=RECOVERED)


def find_failure(tx: Transaction, row: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the number of the latest failure of the document *row*, 0 if it never failed, and whether it lasts."""
    for number in itertools.count(1):
        asked = make_failure_fact(row, "", row["received_at"], number)
        same = sa.and_(table.c.unit == asked.unit, table.c.service == asked.service, table.c.key == asked.key)
        found = set(tx.scalars(sa.select(table.c.milestone).where(same, table.c.milestone.in_([FAILED, RECOVERED]))))
        if FAILED not in found:
            return number - 1, False
        if RECOVERED not in found:
            return number, True
    raise AssertionError


def _of_document(row: Mapping[Any, Any]) -> Fact:
    # no status refers to the key of a change, so a change has no DueDate to miss
    changes = row["kind"] != PacketKind.DOCUMENT
    return Fact(
        unit=row["sender"],
        service=row["service"],
        key=make_business_key(row["sender"], row["document_id"], packet=row["sha256"] if changes else None),
        milestone="",
        at=row["received_at"],
        message=row["id"],
        document_type=row["document_type"],
        paper=row["paper"],
        signature=row["signature"]
        or SignatureStanding.UNSIGNED,  # a message stored before packet signatures were checked has none
        due=None if changes else row["due"],
    )


def make_synced_facts(row: sa.RowMapping, milestone: str, partner: str, at: datetime) -> list[Fact]:
    """Return one fact per business key of the message *row*: it was transferred to another system, *partner*."""
    one = Fact(
        unit=row["sender"],
        service=row["service"],
        key="",
        milestone=milestone,
        at=at,
        message=row["id"],
        counterpart=partner,
        outside=True,
    )
    return [attrs.evolve(one, key=key) for key in json.loads(row["keys"] or "[]")]


def record_facts(tx: Transaction, facts: Iterable[Fact]) -> int:
    """Write *facts*, each with its event. Return the number of new facts. See `insert_facts`."""
    recorded = list(facts)
    new, told = insert_facts(tx, recorded, dossier_owners.read_known_owners(tx, recorded))
    events.append_events(tx, *told)
    return new


def insert_facts(tx: Transaction, facts: Sequence[Fact], owners: KnownOwners | None) -> tuple[int, list[Event]]:
    """Write *facts* without their events. A fact whose key exists is not changed.

    *owners*: of the dossiers among them (`dossier_owners.read_known_owners`).

    Return the number of new facts and the events to append.

    Where a service other than documents reports another amount under an existing key, the event `fact-differs` records
    it, so that the sender of a correction without effect can find out. Figures that correct recorded ones are written as
    differences, of what is told of waits only the changes, and facts about dossiers for the unit that the dossier belongs
    to (`hub.journal.sequels`).
    """
    resolved, restated, findings = dossier_owners.resolve_owners(tx, facts, owners)
    new, told = insert_resolved_facts(tx, resolved, restated)
    return new, [*told, *findings]


def insert_resolved_facts(
    tx: Transaction, facts: Iterable[Fact], restated: Sequence[Fact] = ()
) -> tuple[int, list[Event]]:
    """Do the same with facts whose units are settled. *restated*: facts that may only correct recorded ones."""
    facts, corrected = corrected_figures.place_corrections(tx, list(facts))
    facts = dossier_waits.place_waits(tx, facts)
    first: dict[Key, Fact] = {}
    told = [(make_fact_key(fact), fact) for fact in facts]
    for key, fact in told:
        first.setdefault(key, fact)
    fresh = transactions.insert_new_rows(tx, table, [make_row(fact) for fact in first.values()])
    new = {key: fact for key, fact in first.items() if key in fresh}
    known = [(key, fact) for key, fact in told if new.get(key) is not fact]
    again = [(key, fact) for key, fact in known if fact.service != DOCUMENTS]
    correcting = [(key, fact) for key, fact in again if dossier_days.may_correct(fact)]
    correcting += [(make_fact_key(fact), fact) for fact in restated]
    held = {**read_facts_by_key(tx, [key for key, _ in (*again, *correcting) if key not in new]), **new}
    days, told_of = dossier_days.correct_days(tx, [(fact, held[key]) for key, fact in correcting if key in held])
    transactions.insert_missing_rows(tx, table, [make_row(fact) for fact in days])
    found = [*new.values(), *days]
    return len(found), [*map(make_fact_event, found), *corrected, *_list_differences(again, held), *told_of]


def _list_differences(known: Sequence[tuple[Key, Fact]], held: Mapping[Key, Fact]) -> Iterator[Event]:
    """Yield an event for each of *known* with another amount than the recorded fact, which is one of *held*."""
    for key, fact in known:
        if held[key].amount != fact.amount:
            named = dict(zip(("unit", "service", "key", "milestone"), key, strict=True))
            said = {**named, "amount": fact.amount, "held": held[key].amount}
            yield Event("fact-differs", fact.at, fact.message, None, said)


def make_fact_event(fact: Fact) -> Event:
    """Return the event of *fact*, with the fact's `at` and `message`."""
    body = {name: getattr(fact, name) for name in _TOLD}
    body |= {"due": fact.due and fact.due.isoformat(), "day": fact.day and fact.day.isoformat()}
    body["attributes"] = dict(fact.attributes)
    told = {key: said for key, said in body.items() if key not in _PLAIN or said != _PLAIN[key]}
    return Event("fact-recorded", fact.at, fact.message, None, told)
