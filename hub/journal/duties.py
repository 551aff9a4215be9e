"""What a receipt has promised and the journal still has to do: facts to be written, attachments to be read.  Knows rows; not when.

A message with more than `SLICE` facts would keep the only writer from everybody else.  So the transaction that carries its receipt writes
the first of them and records the duty to write the rest, in slices; each slice is then a transaction of its own, and others commit between.
A slice is taken out in the transaction that writes it, so none is lost or written twice, wherever the hub is killed.

Duties are done in the order in which they were recorded, and what comes later of the same service waits behind them: so of two messages
with the same fact the first holds, as if each had been written whole.  What a duty needs stands beside it, as it was at the receipt.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime

import attrs
import sqlalchemy as sa

from hub.domain.model import DOCUMENTS, Attachment, Event, Fact, Problem
from hub.journal import events, incident_durations
from hub.journal import facts as journal_facts
from hub.store import transactions
from hub.store.tables import duty as table
from hub.store.tables import duty_slice, message
from hub.store.transactions import Transaction

#: Facts that one transaction writes for one message; 200 take about 10 ms of the writer on SQLite, 20 ms on PostgreSQL.
SLICE = 200
#: Facts of one message.  The contract of mail lets 5,000 units tell nine figures each, the most that any service has.
MOST_FACTS = 50_000
#: A partner of whose messages more facts are outstanding brings no others: reports would wait ever longer for them.  A day's mail
#: figures of a province are 9,000 facts; so many are written in some seconds.
MOST_OWED = 10_000
#: What kinds of duty there are: facts to be written, attachments to be read into facts.
FACTS, ATTACHMENTS = "facts", "attachments"
#: What the duty to read attachments may bring facts of.
ENCLOSED = "incidents meetings"

_LOCK = "duties"
_FIELDS = tuple(field for field in attrs.fields(Fact) if field.name not in {"at", "message"})


@attrs.frozen
class Slice:
    """A part of a duty, as it is kept: so many facts, or one attachment (0)."""

    facts: int
    octets: bytes


@attrs.frozen
class Duty:
    """One duty that is outstanding."""

    serial: int  #: its place in the order; never given again
    message: str
    kind: str
    at: datetime  #: of the facts: when the message was received


@attrs.frozen
class Brought:
    """What reads attachments needs to know of the packet that brought them."""

    partner: str
    sender: str
    attachments: tuple[Attachment, ...]


@attrs.frozen
class Outstanding:
    """What is still to be done."""

    messages: int = 0
    facts: int = 0  #: not those of attachments that are still to be read
    since: datetime | None = None  #: the receipt of the oldest

    def __bool__(self) -> bool:
        return self.messages > 0

    def __str__(self) -> str:
        return f"{self.messages} messages, {self.facts} facts, since {self.since}"


def pack_facts(facts: Sequence[Fact]) -> tuple[Slice, ...]:
    """Return *facts*, all of one message, as slices, in their order."""
    parts = (facts[start : start + SLICE] for start in range(0, len(facts), SLICE))
    return tuple(Slice(len(part), _squeezed([_written(fact) for fact in part])) for part in parts)


def pack_attachments(attachments: Iterable[Attachment]) -> tuple[Slice, ...]:
    """Return *attachments*, whose octets are at hand, as slices."""
    return tuple(Slice(0, _packed(each)) for each in attachments)


def _packed(each: Attachment) -> bytes:
    assert each.content is not None
    head = json.dumps({"name": each.name, "type": each.content_type}, ensure_ascii=False).encode()
    return zlib.compress(head + b"\n" + each.content, 1)


def _attachment(octets: bytes) -> Attachment:
    head, _, content = zlib.decompress(octets).partition(b"\n")
    said = json.loads(head)
    return Attachment("", said["name"], said["type"], len(content), "", content)


def _written(fact: Fact) -> dict[str, object]:
    """Return what of *fact* differs from the defaults: what a newer program adds to facts may be missing in an older slice."""
    said = {field.name: getattr(fact, field.name) for field in _FIELDS}
    found = {field.name: said[field.name] for field in _FIELDS if said[field.name] != field.default}
    return found | {name: said[name].isoformat() for name in ("due", "day") if name in found}


def _squeezed(facts: list[dict[str, object]]) -> bytes:
    return zlib.compress(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode(), 1)


def _facts(octets: bytes, message: str, at: datetime) -> Iterator[Fact]:
    for said in json.loads(zlib.decompress(octets)):
        days = {name: date.fromisoformat(said[name]) for name in ("due", "day") if name in said}
        pairs = {"attributes": tuple((name, text) for name, text in said.get("attributes", ()))}
        yield Fact(**said | days | pairs | {"message": message, "at": at})


def write_facts_or_duty(
    tx: Transaction, message: str, at: datetime, service: str, facts: Sequence[Fact], rest: Sequence[Slice] = ()
) -> None:
    """Write *facts* of *message* and the *rest* of them, all of *service*: up to `SLICE` now, the others by a duty.

    Where a duty of that service is outstanding, all of them by a duty, behind it.
    """
    if not facts and not rest:
        return
    if not _is_behind(tx, service):
        now, facts = facts[:SLICE], facts[SLICE:]
        journal_facts.record_facts(tx, incident_durations.pair_incident_facts(tx, now))
    if slices := (*pack_facts(facts), *rest):
        record_duty(tx, message, at, service, slices)


def _is_behind(tx: Transaction, service: str) -> bool:
    """Tell whether a duty is outstanding that may bring a fact of *service* which another message must not come before.

    A document's facts are written with it, or with its delivery: no duty brings any.
    """
    if service == DOCUMENTS:
        return False
    return tx.execute(sa.select(table.c.serial).where(_may_bring({service})).limit(1)).first() is not None


def _may_bring(services: Collection[str]) -> sa.ColumnElement[bool]:
    enclosed = [ENCLOSED] if set(services) & set(ENCLOSED.split()) else []
    return table.c.services.in_([*services, *enclosed])


def record_duty(
    tx: Transaction, message: str, at: datetime, services: str, slices: Sequence[Slice], kind: str = FACTS
) -> None:
    """Record the duty to do *slices* of *message*, which was received *at*; it may bring facts of *services*."""
    row = {"message": message, "at": at, "services": services, "kind": kind}
    serial = tx.execute(sa.insert(table).values(row).returning(table.c.serial)).scalar_one()
    _put(tx, serial, slices)


def _put(tx: Transaction, serial: int, slices: Sequence[Slice]) -> None:
    rows = [{"duty": serial, "number": number, **attrs.asdict(each)} for number, each in enumerate(slices)]
    tx.execute(sa.insert(duty_slice), rows)


def read_next_duty(tx: Transaction) -> Duty | None:
    """Return the duty that is to be done next; None when all is done."""
    row = tx.execute(sa.select(table).order_by(table.c.serial).limit(1)).first()
    return None if row is None else Duty(row.serial, row.message, row.kind, row.at)


def read_duty_content(tx: Transaction, of: Duty) -> Brought | None:
    """Return the attachments that the duty *of* is to read; None where another node has put their facts in their place."""
    said = tx.execute(sa.select(message.c.partner, message.c.sender).where(message.c.id == of.message)).one()
    unread = sa.and_(table.c.serial == duty_slice.c.duty, table.c.kind == ATTACHMENTS)
    slices = sa.select(duty_slice.c.octets).join(table, unread).where(duty_slice.c.duty == of.serial)
    packed = tx.scalars(slices.order_by(duty_slice.c.number)).all()
    return Brought(said.partner, said.sender, tuple(_attachment(octets) for octets in packed)) if packed else None


def record_enclosed_facts(
    tx: Transaction, of: Duty, slices: Sequence[Slice], ignored: Iterable[tuple[str, Problem]]
) -> bool:
    """Put what its attachments bring in the place of the duty *of* to read them; tell what of them was *ignored*, and why.

    False where another node did it meanwhile.
    """
    ours = sa.and_(table.c.serial == of.serial, table.c.kind == ATTACHMENTS)
    if not tx.execute(sa.update(table).where(ours).values(kind=FACTS)).rowcount:
        return False
    tx.execute(sa.delete(duty_slice).where(duty_slice.c.duty == of.serial))
    said = [{"attachment": name, **attrs.asdict(problem)} for name, problem in ignored]
    events.append_events(tx, *(Event("enclosure-ignored", of.at, of.message, None, body) for body in said))
    if slices:
        _put(tx, of.serial, slices)
    else:
        _finish(tx, of.serial)
    return True


def write_next(tx: Transaction) -> bool:
    """Write the next slice of facts.  False when there is none: no duty, one to read attachments first, or another node is at it."""
    if not transactions.those_at_hand(tx, [_LOCK]):
        return False
    of = read_next_duty(tx)
    if of is None or of.kind != FACTS:
        return False
    ours = duty_slice.c.duty == of.serial
    rows = tx.execute(sa.select(duty_slice).where(ours).order_by(duty_slice.c.number).limit(2)).all()
    facts = list(_facts(rows[0].octets, of.message, of.at))
    journal_facts.record_facts(tx, incident_durations.pair_incident_facts(tx, facts))
    tx.execute(sa.delete(duty_slice).where(ours, duty_slice.c.number == rows[0].number))
    if len(rows) == 1:
        _finish(tx, of.serial)
    return True


def _finish(tx: Transaction, serial: int) -> None:
    tx.execute(sa.delete(table).where(table.c.serial == serial))


def read_newest_duty(tx: Transaction) -> int | None:
    """Return the serial of the duty that was recorded last, of those that are outstanding; None when all is done."""
    found: int | None = tx.scalar(sa.select(sa.func.max(table.c.serial)))
    return found


def read_outstanding_duties(
    tx: Transaction,
    *,
    upto: int | None = None,
    services: Collection[str] | None = None,
    before: datetime | None = None,
) -> Outstanding:
    """Return what is outstanding: of the duties recorded until *upto*, that may bring facts of *services*, of what was received *before*.

    None: of all.
    """
    which = sa.and_(
        sa.true() if upto is None else table.c.serial <= upto,
        sa.true() if services is None else _may_bring(services),
        sa.true() if before is None else table.c.at < before,
    )
    row = tx.execute(sa.select(sa.func.count(), sa.func.min(table.c.at)).where(which)).one()
    these = sa.select(table.c.serial).where(which)
    facts = tx.scalar(sa.select(sa.func.sum(duty_slice.c.facts)).where(duty_slice.c.duty.in_(these)))
    return Outstanding(row[0], int(facts or 0), row[1])


def count_owed_facts(tx: Transaction, partner: str) -> int:
    """Return how many facts of messages of *partner* are outstanding; an attachment that is not read yet counts as a slice of them."""
    theirs = sa.and_(message.c.id == table.c.message, message.c.partner == partner)
    slices = sa.select(duty_slice.c.facts).select_from(table).join(message, theirs)
    rows = tx.scalars(slices.join(duty_slice, duty_slice.c.duty == table.c.serial))
    return sum(facts or SLICE for facts in rows)


def write_all(engine: sa.Engine) -> None:
    """Write all facts that are outstanding, for who has no service that does; what comes after attachments to be read is left."""
    more = True
    while more:
        with transactions.write_transaction(engine) as tx:
            more = write_next(tx)
