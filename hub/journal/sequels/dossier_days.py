"""Corrects the days of dossiers: their own unit reports another day of receipt, due day or day of the end than before.

Knows recorded facts. How a correction counts is decided by `hub.report.counting.corrections`.

A correction is recorded as a fact of its own, at most `MOST` for each milestone of a dossier, which bounds what a system
that changes its mind each night makes the hub keep. What another unit reports differently corrects nothing. Both are told
by an event with both messages. A step of work corrects nothing either: it knows neither the receipt nor the due day.
"""

from collections.abc import Sequence
from datetime import date

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, Fact
from hub.report.counting.corrections import CORRECTED, CORRECTIONS
from hub.services.dossiers.results import NAME
from hub.store import transactions
from hub.store.tables import fact as table
from hub.store.transactions import Transaction


def may_correct(told: Fact) -> bool:
    """Return whether *told* states days that may differ from those that are recorded."""
    return told.service == NAME and told.milestone in CORRECTED and "procedure" in dict(told.attributes)


def list_correction_milestones(told: Fact) -> tuple[str, ...]:
    """Return the milestones that say how the days of *told* were corrected before; none if they are not corrected."""
    return CORRECTIONS[told.milestone] if may_correct(told) else ()


def correct_days(tx: Transaction, again: Sequence[tuple[Fact, Sequence[Fact]]]) -> tuple[list[Fact], list[Event]]:
    """Return the corrections to record, and the events to append, for facts that were told again, each with the recorded
    one and its corrections, in their order.
    """
    found: list[Fact] = []
    told_of: list[Event] = []
    for told, recorded in again:
        if not _differs(told, recorded[-1]):
            continue
        transactions.lock_names(tx, [f"days {told.unit} {told.key} {told.milestone}"])
        known = [recorded[0], *_read_corrections(tx, told)]
        known += [
            each for each in found if (each.unit, each.key) == (told.unit, told.key) and each.milestone in _of(told)
        ]
        held, last = known[0], known[-1]
        if not _differs(told, last):
            continue
        corrects = not told.counterpart and len(known) <= len(_of(told))
        if corrects:
            said = attrs.evolve(held, at=told.at, message=told.message, counterpart="")
            days = attrs.evolve(said, day=told.day, due=told.due or last.due)
            found.append(attrs.evolve(days, milestone=_of(told)[len(known) - 1]))
        told_of.append(_tell(told, last, corrects=corrects))
    return found, told_of


def _of(told: Fact) -> tuple[str, ...]:
    return CORRECTIONS[told.milestone]


def _differs(told: Fact, held: Fact) -> bool:
    """Return whether *told* states other days. A step knows no due day, so an end that it told has none to differ from."""
    if told.day != held.day:
        return True
    return told.due is not None and told.due != held.due and (held.due is not None or told.milestone == "received")


def _read_corrections(tx: Transaction, told: Fact) -> list[Fact]:
    mine = sa.and_(table.c.unit == told.unit, table.c.service == NAME, table.c.key == told.key)
    rows = tx.execute(sa.select(table).where(mine, table.c.milestone.in_(_of(told))).order_by(table.c.milestone))
    return [Fact(**row) for row in rows.mappings()]


def _tell(told: Fact, held: Fact, *, corrects: bool) -> Event:
    """Return the event that *told* corrects *held*, or that it differs without effect."""
    name = "dossier-corrected" if corrects else "dossier-differs"
    body = {
        "unit": told.unit,
        "key": told.key,
        "milestone": told.milestone,
        "by_unit": told.counterpart or told.unit,
        "day": _write(told.day),
        "due": _write(told.due),
        "held_day": _write(held.day),
        "held_due": _write(held.due),
        "held_message": held.message,
    }
    return Event(name, told.at, told.message, None, body)


def _write(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
