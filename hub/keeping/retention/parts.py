"""The parts of months that are announced, archived and gone: their rows, their life as a table, and their events.

A part is what goes into one archive file. Every step of it is an event, so who reads the chain knows what went, when, and
which file has it. Does not know how an archive is written.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.store.tables import retention_part as table
from hub.store.transactions import Transaction


class PartState(StrEnum):
    """The state of a part."""

    ANNOUNCED = "announced"  #: it will go, not before its day
    ARCHIVED = "archived"  #: its file is written and verified; its rows are going
    GONE = "gone"  #: its rows have gone
    WITHDRAWN = "withdrawn"  #: nothing of it may go any more


class PartMoved(ValueError):
    """A part is not in the state from which it was to go on."""


class PartEvent(StrEnum):
    """An event that moves a part."""

    ARCHIVE = "archive"
    FINISH = "finish"
    WITHDRAW = "withdraw"
    REPEAT = "repeat"  #: its file is lost, and nothing has gone with it: the part goes into another one
    CUT = "cut"  #: its file is lost, and some of it has gone: the rest stays, for another part


#: (state, event) -> new state.
PART = MappingProxyType(
    {
        (PartState.ANNOUNCED, PartEvent.ARCHIVE): PartState.ARCHIVED,
        (PartState.ANNOUNCED, PartEvent.WITHDRAW): PartState.WITHDRAWN,
        (PartState.ARCHIVED, PartEvent.FINISH): PartState.GONE,
        (PartState.ARCHIVED, PartEvent.REPEAT): PartState.ANNOUNCED,
        (PartState.ARCHIVED, PartEvent.CUT): PartState.GONE,
    }
)
#: The states in which something is still to be done.
OPEN = (PartState.ANNOUNCED, PartState.ARCHIVED)


@attrs.frozen(kw_only=True)
class RetentionPart:
    """One part of a month."""

    number: int
    month: str  #: such as `2026-08`
    state: PartState
    archive: str | None  #: id of the archive file
    announced_at: datetime
    due_at: datetime  #: it does not go before
    changed_at: datetime
    messages: int  #: announced: those that may go; later: those that are in the file, or have gone
    octets: int  #: of these messages
    events: int  #: that have gone
    reason: str  #: why it does not go on; empty: it does


_ALL = sa.select(*(table.c[field.name] for field in attrs.fields(RetentionPart)))


def list_parts(tx: Transaction, *, only_open: bool = False, limit: int = 1000) -> list[RetentionPart]:
    """Return at most *limit* parts, the newest first; with *only_open* those that are not done, the oldest first."""
    query = _ALL.limit(limit)
    if only_open:
        query = query.where(table.c.state.in_(OPEN)).order_by(table.c.number)
    else:
        query = query.order_by(table.c.number.desc())
    return [_make_part(row) for row in tx.execute(query).mappings()]


def list_ended_parts(tx: Transaction, limit: int, before: int | None = None) -> list[RetentionPart]:
    """Return at most *limit* parts that have gone or were withdrawn, the newest first; those with numbers below *before*."""
    query = _ALL.where(table.c.state.not_in(OPEN)).order_by(table.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.number < before)
    return [_make_part(row) for row in tx.execute(query).mappings()]


def read_oldest_open(tx: Transaction) -> RetentionPart | None:
    """Return that part which should have gone first, of those that are not done. None: nothing is to go."""
    return _find_part(tx, _ALL.where(table.c.state.in_(OPEN)).order_by(table.c.due_at, table.c.number).limit(1))


def read_part(tx: Transaction, number: int) -> RetentionPart:
    """Return the part *number*. Raises KeyError."""
    found = _find_part(tx, _ALL.where(table.c.number == number))
    if found is None:
        raise KeyError(number)
    return found


def find_part_of(tx: Transaction, archive: str) -> RetentionPart | None:
    """Return the part whose archive file has the id *archive*. None: there is none."""
    return _find_part(tx, _ALL.where(table.c.archive == archive))


def _find_part(tx: Transaction, query: sa.Select[Any]) -> RetentionPart | None:
    row = tx.execute(query).mappings().first()
    return None if row is None else _make_part(row)


def _make_part(row: sa.RowMapping) -> RetentionPart:
    return RetentionPart(**{**row, "state": PartState(row["state"])})


def hold_part(tx: Transaction, number: int, archive: str) -> None:
    """Keep the part *number* going with the file *archive* until *tx* ends. Raises PartMoved if it does not go with it."""
    going = table.c.state == PartState.ARCHIVED, table.c.archive == archive
    held = sa.select(table.c.number).where(table.c.number == number, *going).with_for_update()
    if tx.execute(held).first() is None:
        raise PartMoved(f"the part {number} does not go with the file {archive} any more")


def announce_part(
    tx: Transaction, month: str, *, messages: int, octets: int, due_at: datetime, by: str, now: datetime
) -> RetentionPart | None:
    """Announce that *messages* of *month* will go, not before *due_at*. None: a part of the month is open already."""
    taken = sa.select(table.c.number).where(table.c.month == month, table.c.state.in_(OPEN))
    if tx.execute(taken.limit(1)).first() is not None:
        return None
    number = (tx.scalar(sa.select(sa.func.max(table.c.number))) or 0) + 1
    part = RetentionPart(
        number=number,
        month=month,
        state=PartState.ANNOUNCED,
        archive=None,
        announced_at=now,
        due_at=due_at,
        changed_at=now,
        messages=messages,
        octets=octets,
        events=0,
        reason="",
    )
    tx.execute(sa.insert(table).values(attrs.asdict(part)))
    body = {"part": number, "month": month, "messages": messages, "octets": octets, "due": due_at.isoformat(), "by": by}
    events.append_events(tx, Event("retention-announced", now, None, None, body))
    return part


def move_part(
    tx: Transaction,
    number: int,
    what: PartEvent,
    now: datetime,
    *,
    said: Mapping[str, Any] | None = None,
    **values: Any,
) -> RetentionPart:
    """Move the part *number* by *what*, set its *values*, and write the event with what else is *said* of it.

    Raises PartMoved if another process was first.
    """
    part = read_part(tx, number)
    state = PART.get((part.state, what))
    if state is None:
        raise PartMoved(f"no part goes on from {part.state} by {what}")
    changed = {"state": state, "changed_at": now, "reason": "", **values}
    moved = attrs.evolve(part, **changed)
    here = sa.and_(table.c.number == number, table.c.state == part.state)
    if not tx.execute(sa.update(table).where(here).values(changed)).rowcount:
        raise PartMoved(f"the part {number} is not {part.state} any more")
    body: dict[str, Any] = {"part": number, "month": part.month, "messages": moved.messages, "octets": moved.octets}
    if moved.archive is not None:
        body["archive"] = moved.archive
    body |= dict(said or {})
    if what in {PartEvent.REPEAT, PartEvent.CUT}:
        events.append_events(tx, Event("archive-given-up", now, None, None, body))
    elif what is PartEvent.WITHDRAW:
        events.append_events(tx, Event("retention-withdrawn", now, None, None, body))
    else:
        name = "retention-archived" if what is PartEvent.ARCHIVE else "retention-deleted"
        events.append_events(tx, Event(name, now, None, None, body))
    return moved


def note_reason(tx: Transaction, number: int, reason: str, now: datetime) -> None:
    """Keep why the part *number* does not go on."""
    tx.execute(sa.update(table).where(table.c.number == number).values(reason=reason[:500], changed_at=now))


def add_gone(tx: Transaction, number: int, count: int, now: datetime) -> None:
    """Add *count* events that have gone with the part *number*."""
    tx.execute(sa.update(table).where(table.c.number == number).values(events=table.c.events + count, changed_at=now))
