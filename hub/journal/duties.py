"""Duties: work that a receipt promised: facts to write, attachments to read, deliveries to make or stop.

A message with more than `SLICE` facts would block the only writer for too long. So the transaction with its receipt
writes the first facts and records a duty to write the rest, in slices. Each slice is then a transaction of its own, and
other steps commit between them. The transaction that writes a slice also deletes it, so no slice is lost or written
twice, wherever the hub is killed.

Duties of facts are done in the order in which they were recorded, and later facts of the same service wait behind them.
So of two messages with the same fact the first counts, as if each had been written at once. Effects on deliveries have
an order of their own (hub/journal/queue/outstanding_effects.py), so neither waits for the other. A duty is stored with
all the data it needs, as of the receipt. This module does not know when duties are done.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.errors import write_problem_json
from hub.domain.model import DOCUMENTS, Attachment, Event, Fact, Problem
from hub.journal import events
from hub.journal import facts as journal_facts
from hub.journal.sequels import incident_durations
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import duty as table
from hub.store.tables import duty_slice, message
from hub.store.transactions import Transaction

#: Facts of one message written per transaction. 200 facts take about 10 ms of the writer on SQLite, 20 ms on
#: PostgreSQL, and four times as long while both cores are busy: these are a quarter of that.
SLICE = 50
#: Maximum facts of one message. The mail contract allows 5,000 units with nine figures each, more than any other
#: service.
MOST_FACTS = 50_000
#: A partner with more outstanding facts than this may send no others, because reports would wait ever longer for them.
#: One day's mail figures of a province are 9,000 facts. The hub writes this number in some seconds.
MOST_OWED = 10_000
#: The services whose facts attachments may contain.
ENCLOSED = "incidents meetings"

_LOCK = "duties"


class DutyKind(StrEnum):
    """A kind of duty."""

    FACTS = "facts"  #: facts to write
    ATTACHMENTS = "attachments"  #: attachments to read into facts
    STOPS = "stops"  #: deliveries to stop
    DELIVERIES = "deliveries"  #: deliveries to make


#: What a message does to other rows than facts.
EFFECTS = (DutyKind.STOPS, DutyKind.DELIVERIES)
_EFFECTS = table.c.kind.in_([sa.literal_column(f"'{kind}'", sa.Text) for kind in EFFECTS])


def _make_next_query(which: sa.ColumnElement[bool]) -> HotStatement:
    query = sa.select(table.c.serial, table.c.message, table.c.kind, table.c.at, message.c.partner)
    return HotStatement(
        query.join(message, message.c.id == table.c.message).where(which).order_by(table.c.serial).limit(1)
    )


_OUTSTANDING_EFFECTS = HotStatement(
    sa.select(table.c.message, table.c.kind, duty_slice.c.octets)
    .join_from(table, duty_slice, table.c.serial == duty_slice.c.duty)
    .where(_EFFECTS)
    .order_by(duty_slice.c.duty, duty_slice.c.number)
)
#: Asked several times a second: the first duty of facts and attachments, and the first of effects.
_NEXT, _NEXT_EFFECT = _make_next_query(~_EFFECTS), _make_next_query(_EFFECTS)
_FIELDS = tuple(field for field in attrs.fields(Fact) if field.name not in {"at", "message"})


@attrs.frozen
class DutySlice:
    """A part of a duty as it is stored: *facts* facts, or one attachment or some deliveries (`facts` is 0)."""

    facts: int  #: number of facts
    octets: bytes  #: the facts, the attachment or the deliveries, compressed with zlib


@attrs.frozen
class Duty:
    """One outstanding duty."""

    serial: int  #: its place in the order; never reused
    message: str  #: hub id of the message
    kind: DutyKind
    at: datetime  #: `at` of the facts: the time of receipt of the message
    partner: str  #: code of the partner that sent the message: the duty is done for it


@attrs.frozen
class DutyAttachments:
    """The attachments to read, with partner and sender of the packet that contained them."""

    partner: str  #: code of the partner that sent the packet
    sender: str  #: From unit of the packet
    attachments: tuple[Attachment, ...]


@attrs.frozen
class OutstandingWork:
    """The work that is still to be done."""

    messages: int = 0  #: number of outstanding duties
    facts: int = 0  #: without those of attachments that are not read yet
    since: datetime | None = None  #: time of the oldest receipt

    def __bool__(self) -> bool:
        return self.messages > 0

    def __str__(self) -> str:
        return f"{self.messages} messages, {self.facts} facts, since {self.since}"


def pack_facts(facts: Sequence[Fact]) -> tuple[DutySlice, ...]:
    """Return *facts*, all of one message, as slices in their order."""
    parts = (facts[start : start + SLICE] for start in range(0, len(facts), SLICE))
    return tuple(DutySlice(len(part), _squeeze_facts([_write_fact(fact) for fact in part])) for part in parts)


def pack_attachments(attachments: Iterable[Attachment]) -> tuple[DutySlice, ...]:
    """Return *attachments*, whose content must be loaded, as slices."""
    return tuple(DutySlice(0, _pack_attachment(each)) for each in attachments)


def _pack_attachment(each: Attachment) -> bytes:
    assert each.content is not None
    head = json.dumps({"name": each.name, "type": each.content_type}, ensure_ascii=False).encode()
    return zlib.compress(head + b"\n" + each.content, 1)


def _unpack_attachment(octets: bytes) -> Attachment:
    head, _, content = zlib.decompress(octets).partition(b"\n")
    said = json.loads(head)
    return Attachment("", said["name"], said["type"], len(content), "", content)


def _write_fact(fact: Fact) -> dict[str, object]:
    """Return the fields of *fact* that differ from their defaults.

    A field added later may be missing in an older slice.
    """
    said = {field.name: getattr(fact, field.name) for field in _FIELDS}
    found = {field.name: said[field.name] for field in _FIELDS if said[field.name] != field.default}
    return found | {name: said[name].isoformat() for name in ("due", "day") if name in found}


def _squeeze_facts(facts: list[dict[str, object]]) -> bytes:
    return zlib.compress(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode(), 1)


def _unpack_facts(octets: bytes, message: str, at: datetime) -> Iterator[Fact]:
    for said in json.loads(zlib.decompress(octets)):
        days = {name: date.fromisoformat(said[name]) for name in ("due", "day") if name in said}
        pairs = {"attributes": tuple((name, text) for name, text in said.get("attributes", ()))}
        yield Fact(**said | days | pairs | {"message": message, "at": at})


def split_facts(facts: Sequence[Fact], *, behind: bool) -> tuple[Sequence[Fact], tuple[DutySlice, ...]]:
    """Return the first of a message's *facts*, up to `SLICE`, to write now, and the others as slices of a duty.

    *behind*: a duty of their service is outstanding (`has_earlier_duty`), so all of them become a duty behind it.
    """
    first = 0 if behind else SLICE
    return facts[:first], pack_facts(facts[first:])


def write_facts_or_duty(tx: Transaction, message: str, at: datetime, service: str, facts: Sequence[Fact]) -> None:
    """Write up to `SLICE` of *facts* now, and record a duty for the others (`split_facts`). All are of *service*."""
    if not facts:
        return
    now, slices = split_facts(facts, behind=has_earlier_duty(tx, service))
    write_paired_facts(tx, now)
    if slices:
        record_duty(tx, message, at, service, slices)


def write_paired_facts(tx: Transaction, facts: Sequence[Fact]) -> None:
    """Write *facts* and the durations of the incidents that they open or close."""
    ends = incident_durations.read_incident_ends(tx, facts)
    journal_facts.record_facts(tx, incident_durations.pair_incident_facts(facts, ends))


def has_earlier_duty(tx: Transaction, service: str) -> bool:
    """Tell whether a duty is outstanding whose facts of *service* must be written before those of a later message.

    Facts of a document are written with the document or its delivery, never by a duty.
    """
    if service == DOCUMENTS:
        return False
    return tx.execute(sa.select(table.c.serial).where(_may_bring({service})).limit(1)).first() is not None


def _may_bring(services: Collection[str]) -> sa.ColumnElement[bool]:
    enclosed = [ENCLOSED] if set(services) & set(ENCLOSED.split()) else []
    return table.c.services.in_([*services, *enclosed])


def record_duty(
    tx: Transaction,
    message: str,
    at: datetime,
    services: str,
    slices: Sequence[DutySlice],
    kind: DutyKind = DutyKind.FACTS,
) -> None:
    """Record the duty to do *slices* of *message*, received *at*. It may contain facts of *services*."""
    row = {"message": message, "at": at, "services": services, "kind": kind}
    serial = tx.execute(sa.insert(table).values(row).returning(table.c.serial)).scalar_one()
    _put_slices(tx, serial, slices)


def _put_slices(tx: Transaction, serial: int, slices: Sequence[DutySlice]) -> None:
    rows = [{"duty": serial, "number": number, **attrs.asdict(each)} for number, each in enumerate(slices)]
    tx.execute(sa.insert(duty_slice), rows)


def read_next_duty(tx: Transaction, *, effects: bool = False) -> Duty | None:
    """Return the next duty of facts and attachments, or of *effects*, or None when there is none."""
    row = (_NEXT_EFFECT if effects else _NEXT).first(tx, {})
    return None if row is None else Duty(row.serial, row.message, DutyKind(row.kind), row.at, row.partner)


def read_duty_content(tx: Transaction, of: Duty) -> DutyAttachments | None:
    """Return the attachments of the duty *of*, or None if another node has already replaced them with their facts."""
    said = tx.execute(sa.select(message.c.partner, message.c.sender).where(message.c.id == of.message)).one()
    unread = sa.and_(table.c.serial == duty_slice.c.duty, table.c.kind == DutyKind.ATTACHMENTS)
    slices = sa.select(duty_slice.c.octets).join(table, unread).where(duty_slice.c.duty == of.serial)
    packed = tx.scalars(slices.order_by(duty_slice.c.number)).all()
    return (
        DutyAttachments(said.partner, said.sender, tuple(_unpack_attachment(octets) for octets in packed))
        if packed
        else None
    )


def record_enclosed_facts(
    tx: Transaction, of: Duty, slices: Sequence[DutySlice], ignored: Iterable[tuple[str, Problem]]
) -> bool:
    """Replace the attachments of the duty *of* with the facts read from them, and record those *ignored*, with reasons.

    Returns False if another node did it meanwhile.
    """
    ours = sa.and_(table.c.serial == of.serial, table.c.kind == DutyKind.ATTACHMENTS)
    if not tx.execute(sa.update(table).where(ours).values(kind=DutyKind.FACTS)).rowcount:
        return False
    tx.execute(sa.delete(duty_slice).where(duty_slice.c.duty == of.serial))
    said = [{"attachment": name, **write_problem_json(problem)} for name, problem in ignored]
    events.append_events(tx, *(Event("enclosure-ignored", of.at, of.message, None, body) for body in said))
    if slices:
        _put_slices(tx, of.serial, slices)
    else:
        _finish_duty(tx, of.serial)
    return True


def write_next_slice(tx: Transaction) -> bool:
    """Write the next slice of facts.

    Returns False when there is none: no duty, a duty whose attachments must be read first, or another node is writing.
    """
    if not transactions.try_lock_names(tx, [_LOCK]):
        return False
    of = read_next_duty(tx)
    if of is None or of.kind != DutyKind.FACTS:
        return False
    first = read_next_slice(tx, of)
    write_paired_facts(tx, list(_unpack_facts(first.octets, of.message, of.at)))
    _ = finish_slice(tx, first)
    return True


def read_next_slice(tx: Transaction, of: Duty) -> Any:
    """Return the row of the first slice of the duty *of*."""
    ours = sa.select(duty_slice).where(duty_slice.c.duty == of.serial)
    return tx.execute(ours.order_by(duty_slice.c.number).limit(1)).one()


def finish_slice(tx: Transaction, done: Any, rest: bytes = b"") -> bool:
    """Delete the slice *done*, or leave its *rest* in its place. Return whether its duty is at an end, too."""
    ours = duty_slice.c.duty == done.duty
    this = sa.and_(ours, duty_slice.c.number == done.number)
    if rest:
        tx.execute(sa.update(duty_slice).where(this).values(octets=rest))
        return False
    tx.execute(sa.delete(duty_slice).where(this))
    if tx.scalar(sa.select(sa.exists().where(ours))):
        return False
    _finish_duty(tx, done.duty)
    return True


def read_outstanding_effects(tx: Transaction) -> list[tuple[str, DutyKind, bytes]]:
    """Return the slices of all duties of effects, each with the message and the kind of its duty."""
    return [(row.message, DutyKind(row.kind), bytes(row.octets)) for row in _OUTSTANDING_EFFECTS.read(tx, {})]


def _finish_duty(tx: Transaction, serial: int) -> None:
    tx.execute(sa.delete(table).where(table.c.serial == serial))


def read_newest_duty(tx: Transaction) -> int | None:
    """Return the serial of the last recorded duty of facts that is outstanding, or None."""
    found: int | None = tx.scalar(sa.select(sa.func.max(table.c.serial)).where(~_EFFECTS))
    return found


def read_outstanding_duties(
    tx: Transaction,
    *,
    upto: int | None = None,
    services: Collection[str] | None = None,
    before: datetime | None = None,
) -> OutstandingWork:
    """Return the facts that are outstanding, optionally restricted. Effects make no fact.

    *upto*: the last serial included. *services*: only duties that may contain facts of them. *before*: only messages
    received before.
    """
    which = sa.and_(
        ~_EFFECTS,
        sa.true() if upto is None else table.c.serial <= upto,
        sa.true() if services is None else _may_bring(services),
        sa.true() if before is None else table.c.at < before,
    )
    row = tx.execute(sa.select(sa.func.count(), sa.func.min(table.c.at)).where(which)).one()
    these = sa.select(table.c.serial).where(which)
    facts = tx.scalar(sa.select(sa.func.sum(duty_slice.c.facts)).where(duty_slice.c.duty.in_(these)))
    return OutstandingWork(row[0], int(facts or 0), row[1])


def count_owed_facts(tx: Transaction, partner: str) -> int:
    """Return the number of outstanding facts of messages of *partner*.

    An unread attachment counts as a full slice, and so does a slice of effects.
    """
    theirs = sa.and_(message.c.id == table.c.message, message.c.partner == partner)
    slices = sa.select(duty_slice.c.facts).select_from(table).join(message, theirs)
    rows = tx.scalars(slices.join(duty_slice, duty_slice.c.duty == table.c.serial))
    return sum(facts or SLICE for facts in rows)


def write_outstanding_facts(engine: sa.Engine) -> None:
    """Write all outstanding facts, for commands without a service that does it.

    Stops at a duty with unread attachments.
    """
    more = True
    while more:
        with transactions.write_transaction(engine) as tx:
            more = write_next_slice(tx)
