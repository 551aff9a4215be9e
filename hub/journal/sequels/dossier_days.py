"""Corrects the days of dossiers: their own unit reports another day of receipt, of a supplement or of the end, or another
due day, than before.

Knows recorded facts. How a correction counts is decided by `hub.report.counting.corrections`.

A correction is recorded as a fact of its own, at most `MOST` for each milestone of a dossier, which bounds what a system
that changes its mind each night makes the hub keep. Of what a unit has taken over only the due day is corrected: it was
received elsewhere. What another unit reports differently corrects nothing. Both are told by an event with both messages. A
step of work corrects nothing either: it knows neither the receipt nor the due day.
"""

from collections.abc import Sequence
from datetime import date

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, Fact
from hub.report.counting.corrections import ALL, CORRECTED, CORRECTIONS
from hub.services.dossiers.identity import HANDED_OVER, TAKEN_OVER, number_key, split_key
from hub.services.dossiers.results import NAME
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

#: The corrections of some dossiers of a unit: all milestones of a dossier are read by its key, and few are none.
_READ = HotStatement(
    sa.select(table).where(
        table.c.unit == sa.bindparam("of", type_=sa.Text),
        table.c.service == NAME,
        table.c.key.in_(sa.bindparam("keys", expanding=True, type_=sa.Text)),
        table.c.milestone.like("%-corrected-%"),
    ),
    lists=("keys",),
)
#: Keys per query. The facts of a message are written 200 at a time.
_ASKED = 200


def may_correct(told: Fact) -> bool:
    """Return whether *told* states days that may differ from those that are recorded."""
    return told.service == NAME and told.milestone in CORRECTED and "procedure" in dict(told.attributes)


def correct_days(tx: Transaction, again: Sequence[tuple[Fact, Fact]]) -> tuple[list[Fact], list[Event]]:
    """Return the corrections to record, and the events to append, for facts that were told again, each with the recorded
    one.
    """
    found: list[Fact] = []
    told_of: list[Event] = []
    known = _read_corrections(tx, [told for told, _ in again])
    for told, first in again:
        name = (told.unit, told.key, told.milestone)
        if not _states_other_days(told, _find_last_told([first, *known.get(name, [])])):
            continue
        transactions.lock_names(tx, [f"days {told.unit} {told.key} {told.milestone}"])
        made = [
            each
            for each in found
            if (each.unit, each.key) == name[:2] and each.milestone in _list_corrected_names(told)
        ]
        held = [first, *_read_corrections(tx, [told]).get(name, []), *made]
        last = _find_last_told(held)
        if last is first and told.milestone == TAKEN_OVER:
            last = _find_receipt(tx, first)
        if not _states_other_days(told, last):
            continue
        corrects = not told.counterpart and len(held) <= len(_list_corrected_names(told))
        if corrects:
            found.append(_make_correction(told, held))
        told_of.append(_tell_correction(told, last, corrects=corrects))
    return found, told_of


def _list_corrected_names(told: Fact) -> tuple[str, ...]:
    return CORRECTIONS[told.milestone]


def _find_last_told(held: Sequence[Fact]) -> Fact:
    """Return what the unit told last of the recorded fact and its corrections *held*: not what came with another's work."""
    return next((each for each in reversed(held[1:]) if not each.counterpart), held[0])


def _find_receipt(tx: Transaction, taken: Fact) -> Fact:
    """Return what was told last of the receipt of a dossier by the units that had it before it was *taken* over.

    Its due day is not always that of *taken*, which a supplement may have stated.
    """
    before = sa.and_(table.c.unit == taken.counterpart, table.c.service == NAME)
    rows = tx.execute(sa.select(table).where(before, table.c.key == _find_key_before(tx, taken)))
    history = {row["milestone"]: Fact(**row) for row in rows.mappings()}
    name = TAKEN_OVER if TAKEN_OVER in history else "received"
    if name not in history:
        return taken
    last = _find_last_told([history[each] for each in (name, *CORRECTIONS[name]) if each in history])
    return _find_receipt(tx, last) if last.milestone == TAKEN_OVER else last


def _find_key_before(tx: Transaction, taken: Fact) -> str | None:
    """Return the key that the dossier had in the unit from which it was *taken* over: it may have come back from there."""
    code, number = split_key(taken.key)
    codes = (code, code.removesuffix(f"@{taken.counterpart}"), f"{code}@{taken.unit}")
    names = {number_key(each, times) for each in codes for times in (number, number - 1) if times}
    gave = sa.select(table.c.key).where(
        table.c.unit == taken.counterpart,
        table.c.service == NAME,
        table.c.key.in_(names),
        table.c.milestone == HANDED_OVER,
        table.c.counterpart == taken.unit,
        table.c.at == taken.at,
    )
    return tx.scalars(gave).first()


def _make_correction(told: Fact, held: Sequence[Fact]) -> Fact:
    """Return the correction of *held*, the recorded fact and its corrections, to the days of *told*."""
    first, last = held[0], held[-1]
    day = first.day if told.milestone == TAKEN_OVER else told.day
    days = attrs.evolve(first, day=day, due=told.due or last.due, counterpart="")
    return attrs.evolve(days, milestone=_list_corrected_names(told)[len(held) - 1], at=told.at, message=told.message)


def _states_other_days(told: Fact, held: Fact) -> bool:
    """Return whether *told* states other days. A step knows no due day, so an end that it told has none to differ from."""
    if told.day != held.day and told.milestone != TAKEN_OVER:
        return True
    return told.due is not None and told.due != held.due and (held.due is not None or told.milestone != "finished")


def _read_corrections(tx: Transaction, told: Sequence[Fact]) -> dict[tuple[str, str, str], list[Fact]]:
    """Return the recorded corrections of the facts *told*, in their order, by unit, key and milestone."""
    keys: dict[str, dict[str, None]] = {}
    for each in told:
        keys.setdefault(each.unit, {})[each.key] = None
    found: dict[tuple[str, str, str], list[Fact]] = {}
    for unit, some in keys.items():
        names = list(some)
        for first in range(0, len(names), _ASKED):
            for row in _READ.read(tx, {"of": unit, "keys": names[first : first + _ASKED]}):
                if row.milestone in ALL:
                    of = row.milestone.partition("-corrected-")[0]
                    found.setdefault((unit, row.key, of), []).append(Fact(**row._asdict()))
    for (*_, of), corrections in found.items():
        corrections.sort(key=lambda each: CORRECTIONS[of].index(each.milestone))
    return found


def _tell_correction(told: Fact, held: Fact, *, corrects: bool) -> Event:
    """Return the event that *told* corrects *held*, or that it differs without effect."""
    name = "dossier-corrected" if corrects else "dossier-differs"
    body = {
        "unit": told.unit,
        "key": told.key,
        "milestone": told.milestone,
        "by_unit": told.counterpart or told.unit,
        "day": _write_day(told.day),
        "due": _write_day(told.due),
        "held_day": _write_day(held.day),
        "held_due": _write_day(held.due),
        "held_message": held.message,
    }
    return Event(name, told.at, told.message, None, body)


def _write_day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
